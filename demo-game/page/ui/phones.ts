/** The link for phones, as a code to scan, folded away until somebody wants it. */
import { element } from './element.ts';

export class PhoneCode {
  readonly #link = element('p', { class: 'link' });
  readonly #code = element('img', { class: 'code', alt: 'The link as a code to scan' });
  readonly root = element(
    'details',
    { id: 'phones', hidden: true },
    element('summary', {}, 'Play along on a phone'),
    this.#code,
    this.#link,
    element('p', { class: 'quiet' }, 'For phones on this Wi-Fi. Anybody on it can read what passes there.'),
  );

  /** Without a link there is nothing to unfold. */
  async show(link: string | undefined): Promise<void> {
    this.root.hidden = link === undefined;
    if (link === undefined || this.#link.textContent === link) return;
    this.#link.textContent = link;
    const { renderSVG } = await import('uqr');
    this.#code.src = `data:image/svg+xml,${encodeURIComponent(renderSVG(link, { border: 3 }))}`;
  }
}
