/**
 * One seed of the simulator: the seed says whether it is rooms or links alone.
 */
import { simulateLinks } from './link-scenario.ts';
import { simulateMesh } from './mesh-scenario.ts';
import { kindOf, type SimOptions, type SimResult } from './plan.ts';

export function simulate(options: SimOptions): SimResult {
  return kindOf(options.seed) === 'mesh' ? simulateMesh(options) : simulateLinks(options);
}
