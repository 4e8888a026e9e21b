/**
 * Keeps a list of the test files that have begun and not ended, each with the test it is at, in `test/out/running.json`:
 * what `npm test` names when a run of tests does not end.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { Reporter, TestCase, TestModule } from 'vitest/node';
import { repositoryRoot } from './lab/process.ts';

export const runningFile = join(repositoryRoot, 'test/out/running.json');

export default class ProgressReporter implements Reporter {
  readonly #at = new Map<string, string>();

  onInit(): void {
    mkdirSync(dirname(runningFile), { recursive: true });
  }
  onTestModuleQueued(module: TestModule): void {
    this.#set(module, 'loading');
  }
  onTestModuleStart(module: TestModule): void {
    this.#set(module, 'loaded');
  }
  onTestCaseReady(test: TestCase): void {
    this.#set(test.module, test.fullName);
  }
  onTestModuleEnd(module: TestModule): void {
    this.#at.delete(module.moduleId);
    this.#write();
  }

  #set(module: TestModule, at: string): void {
    this.#at.set(module.moduleId, at);
    this.#write();
  }
  #write(): void {
    writeFileSync(runningFile, JSON.stringify(Object.fromEntries([...this.#at].map(([id, at]) => [relative(repositoryRoot, id), at]))));
  }
}
