/** The table of a finished round. It is shown once the last paint of everybody has come, so that all screens of the party say the same. */
import type { Match } from '../../rules/match.ts';
import { shorten } from '../../rules/names.ts';
import { countingMs, standings, winners } from '../../rules/scoring.ts';
import type { Standing } from '../../rules/scoring.ts';
import { css, cssPatterns, cssPatternSizes, paintColor, paintNames } from '../look/palette.ts';
import { element } from './element.ts';

/** Lines of the table: there are no more paints. */
const mostLines = 8;

export class Scores implements Disposable {
  readonly #match: Match;
  readonly #names: ReadonlyMap<number, ReadonlySet<string>>;
  readonly #onTold: (won: boolean) => void;
  readonly #headline = element('h2', {}, 'Time!');
  readonly #list = element('ol');
  readonly #next = element('p', { class: 'next' }, 'Counting the paint…');
  readonly #root = element(
    'div',
    { class: 'scores', role: 'status' },
    element('div', { class: 'scores-card' }, this.#headline, this.#list, this.#next),
  );
  readonly #since: number;
  /** What the table was made of. */
  #made = '';

  /**
   * @param names who played which paint this round, to name those who left.
   * @param onTold called once, when the table is shown.
   */
  constructor(ui: HTMLElement, match: Match, names: ReadonlyMap<number, ReadonlySet<string>>, onTold: (won: boolean) => void) {
    this.#match = match;
    this.#names = names;
    this.#onTold = onTold;
    this.#since = performance.now();
    ui.append(this.#root);
  }

  refresh(leftSeconds: number): void {
    if (performance.now() - this.#since < countingMs) return;
    const table = this.#table().slice(0, mostLines);
    // A repair of the floor after a bad moment of the network still counts.
    const made = table.map(({ paint, cells, names }) => `${paint} ${cells} ${names.join()}`).join();
    if (made !== this.#made) {
      const first = this.#made === '';
      this.#made = made;
      this.#show(table, first);
    }
    const map = this.#match.maps.next?.name;
    const next = `${map === undefined ? 'Next floor' : `Next floor: ${map},`} in ${leftSeconds}`;
    if (this.#next.textContent !== next) this.#next.textContent = next;
  }

  #show(table: readonly Standing[], first: boolean): void {
    const own = this.#match.me.paint;
    const best = winners(table);
    const won = best.some(({ paint }) => paint === own);
    this.#headline.textContent = this.#words(best, won);
    this.#list.classList.toggle('still', !first);
    this.#list.replaceChildren(...table.map((line) => this.#line(line, own, table[0]?.share ?? 1)));
    if (first) this.#onTold(won);
  }

  #words(best: readonly Standing[], won: boolean): string {
    const [first, ...equals] = best;
    if (first === undefined) return 'Nobody painted anything';
    if (equals.length === 0) return won ? 'You painted the most!' : `${shorten(this.#who(first), 40)} painted the most`;
    return won ? 'A tie: you share the first place!' : `A tie: ${shorten(best.map((line) => this.#who(line)).join(' and '), 40)}`;
  }

  #table(): Standing[] {
    const names = new Map<number, string[]>();
    for (const view of this.#match.blobs()) names.set(view.paint, [...(names.get(view.paint) ?? []), view.name]);
    return standings(this.#match.coverage(), names);
  }

  #who(line: Standing): string {
    if (line.names.length > 0) return line.names.join(', ');
    return `${[...(this.#names.get(line.paint) ?? [paintNames[line.paint] ?? 'somebody'])].join(', ')} (left)`;
  }

  #line(line: Standing, own: number, most: number): HTMLElement {
    const size = cssPatternSizes[line.paint];
    const bar = element('i', {
      style: `--paint: ${css(paintColor(line.paint))}; width: ${most === 0 ? 0 : (line.share / most) * 100}%; background-image: ${cssPatterns[line.paint] ?? 'none'};${size ? ` background-size: ${size};` : ''}`,
    });
    const splats = this.#match
      .blobs()
      .filter((view) => view.paint === line.paint)
      .reduce((sum, view) => sum + (this.#match.splats.get(view.who) ?? 0), 0);
    return element(
      'li',
      line.paint === own ? { class: 'self' } : {},
      element('span', { class: 'num' }, `${line.rank}`),
      element('span', { class: 'who' }, this.#who(line)),
      element('div', { class: 'bar' }, bar),
      element('span', { class: 'num' }, `${(line.share * 100).toFixed(1)}%`),
      element('span', { class: 'num dim' }, `${splats} splat${splats === 1 ? '' : 's'}`),
    );
  }

  [Symbol.dispose](): void {
    this.#root.remove();
  }
}
