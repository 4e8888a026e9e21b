/** The button that asks the doctor, and what he says: troubles first, each with what to do, then what is well. */
import type { NetworkCheck } from 'lanista';
import { element } from './element.ts';

const marks = { fail: '✕', warn: '!', ok: '✓' } as const;
const spoken = { fail: 'Problem', warn: 'Warning', ok: 'Fine' } as const;

export class NetworkCheckView {
  readonly root: HTMLElement;
  readonly #button: HTMLButtonElement;
  readonly #result = element('div', { class: 'checks', role: 'status', 'aria-live': 'polite' });
  readonly #diagnose: () => Promise<readonly NetworkCheck[]>;

  /** @param diagnose rejects with words for a player. */
  constructor(diagnose: () => Promise<readonly NetworkCheck[]>) {
    this.#diagnose = diagnose;
    this.#button = element('button', { class: 'small check-button', onclick: () => void this.run() }, 'Check this network');
    this.root = element('div', { class: 'network-check' }, this.#button, this.#result);
  }

  /** Asks, and shows the answer; it takes some seconds. */
  async run(): Promise<void> {
    if (this.#button.disabled) return;
    this.#button.disabled = true;
    this.#button.textContent = 'Checking…';
    this.#result.replaceChildren(element('p', { class: 'quiet' }, 'Listening to the network for a few seconds…'));
    try {
      this.#show(await this.#diagnose());
    } catch (error) {
      this.#result.replaceChildren(element('p', { class: 'problem' }, error instanceof Error ? error.message : String(error)));
    } finally {
      this.#button.disabled = false;
      this.#button.textContent = 'Check again';
    }
  }

  #show(checks: readonly NetworkCheck[]): void {
    const troubles = [...checks.filter((check) => check.level === 'fail'), ...checks.filter((check) => check.level === 'warn')];
    const well = checks.filter((check) => check.level === 'ok');
    const headline =
      troubles.length === 0
        ? 'All is well on this computer. Is a friend still missing? Press this button on their computer, too.'
        : troubles.some((check) => check.level === 'fail')
          ? 'This keeps you and your friends apart:'
          : 'You can play, but this may get in the way:';
    this.#result.replaceChildren(
      element('p', { class: 'check-headline' }, headline),
      element('ul', { class: 'check-list' }, ...troubles.map((check) => this.#line(check))),
      element(
        'details',
        { class: 'check-well' },
        element('summary', {}, `${well.length} ${well.length === 1 ? 'thing is' : 'things are'} fine`),
        element('ul', { class: 'check-list' }, ...well.map((check) => this.#line(check))),
      ),
    );
  }

  #line(check: NetworkCheck): HTMLElement {
    const mark = element('span', { class: 'check-mark', role: 'img', 'aria-label': spoken[check.level] }, marks[check.level]);
    const fix = check.fix === '' ? [] : [element('small', {}, check.fix)];
    return element('li', { class: `check ${check.level}` }, mark, element('div', {}, element('span', {}, check.what), ...fix));
  }
}
