/**
 * The entities of one origin by counter, in pages of 32: whoever goes through them in order of their counters looks up a page now and then
 * instead of each entity. There are pages only where there are entities, whatever counters a peer makes up.
 */
import type { EntityCore } from './entity.ts';

const PAGE_BITS = 5;
/** Place of a counter in its page: all `PAGE_BITS`, as a literal, whose type is the number. */
export const PAGE_MASK = 31;

export type Page = (EntityCore | undefined)[];

const emptyPage = (): Page => Array.from({ length: PAGE_MASK + 1 }, () => undefined);
const NOBODY: Readonly<Page> = emptyPage();

export class Siblings {
  readonly #pages = new Map<number, { readonly cores: Page; count: number }>();

  get(counter: number): EntityCore | undefined {
    return this.#pages.get(counter >>> PAGE_BITS)?.cores[counter & PAGE_MASK];
  }

  /** The page of `counter` and its neighbours. */
  pageOf(counter: number): Readonly<Page> {
    return this.#pages.get(counter >>> PAGE_BITS)?.cores ?? NOBODY;
  }

  set(counter: number, core: EntityCore): void {
    let page = this.#pages.get(counter >>> PAGE_BITS);
    if (page === undefined) this.#pages.set(counter >>> PAGE_BITS, (page = { cores: emptyPage(), count: 0 }));
    if (page.cores[counter & PAGE_MASK] === undefined) page.count++;
    page.cores[counter & PAGE_MASK] = core;
  }

  /** True when nothing is left. */
  delete(counter: number): boolean {
    const page = this.#pages.get(counter >>> PAGE_BITS);
    if (page !== undefined && page.cores[counter & PAGE_MASK] !== undefined) {
      page.cores[counter & PAGE_MASK] = undefined;
      if (--page.count === 0) this.#pages.delete(counter >>> PAGE_BITS);
    }
    return this.#pages.size === 0;
  }
}
