/**
 * `setStateBudget`: what the game says about how much state goes out, checked and made total. A priority function of the game that throws or
 * returns no number must not stop the state of anybody.
 */
import type { PeerId } from '../base/brand.ts';
import { callGuarded } from '../base/callback.ts';
import { LanError } from '../base/errors.ts';
import type { BudgetRule } from '../sync/budget.ts';
import { checkCall, show } from '../sync/definition.ts';
import type { AnyGame } from '../sync/definition.ts';
import type { EntityCore } from '../sync/entity.ts';
import { MAX_PRIORITY, MAX_STATE_BUDGET_BYTES, MIN_PRIORITY, MIN_STATE_BUDGET_BYTES } from '../wire/limits.ts';
import type { Entity, StateBudget } from './types.ts';

/**
 * The rule that `budget` stands for. Throws `bad-argument`.
 * @param failed told of what the game's priority function throws.
 */
export function budgetRule<G extends AnyGame>(budget: StateBudget<G>, failed: (cause: unknown) => void): BudgetRule {
  checkCall('setStateBudget', budget, ['bytesPerTick', 'priority']);
  const { bytesPerTick, priority } = budget;
  if (!Number.isInteger(bytesPerTick) || bytesPerTick < MIN_STATE_BUDGET_BYTES || bytesPerTick > MAX_STATE_BUDGET_BYTES)
    throw new LanError(
      'bad-argument',
      `setStateBudget: expected bytesPerTick from ${MIN_STATE_BUDGET_BYTES} to ${MAX_STATE_BUDGET_BYTES}, got ${show(bytesPerTick)}.`,
    );
  if (priority !== undefined && typeof priority !== 'function')
    throw new LanError('bad-argument', `setStateBudget: expected priority to be a function, got ${show(priority)}.`);
  const ofKind = (core: EntityCore): number => core.kind.def.priority;
  if (priority === undefined) return { bytesPerTick, priority: ofKind };
  return {
    bytesPerTick,
    priority: (core: EntityCore, to: PeerId): number => {
      let threw = false;
      const value = callGuarded(
        () => priority(core.handle as Entity<G>, to),
        (cause) => {
          threw = true;
          failed(cause);
        },
      );
      // Nothing is worth nothing: it would never be told.
      if (typeof value === 'number' && !Number.isNaN(value)) return Math.min(MAX_PRIORITY, Math.max(MIN_PRIORITY, value));
      if (!threw) failed(new TypeError(`expected a number, got ${show(value)}`));
      return ofKind(core);
    },
  };
}
