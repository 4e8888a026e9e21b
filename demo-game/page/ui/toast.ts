/** One sentence over everything, for some seconds: what became of something the player did. */
import { element } from './element.ts';

/** So long, and so much longer for each letter, ms. */
const shown = { base: 2500, letter: 45 };

export class Toast {
  readonly root = element('p', { class: 'toast', role: 'status', 'aria-live': 'polite', hidden: true });
  #timer: ReturnType<typeof setTimeout> | undefined;

  say(sentence: string, isProblem = false): void {
    this.root.textContent = sentence;
    this.root.hidden = false;
    this.root.classList.toggle('wrong', isProblem);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => (this.root.hidden = true), shown.base + shown.letter * sentence.length);
  }
}
