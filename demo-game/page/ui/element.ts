/** Builds page elements without markup strings: text is text, whoever typed it. */

type Content = Node | string;
type Props = Readonly<Record<string, string | boolean | number | ((event: Event) => void)>>;

/** `element('button', { class: 'primary', onclick: play }, 'Play')` */
export function element<K extends keyof HTMLElementTagNameMap>(tag: K, props: Props = {}, ...content: readonly Content[]): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === 'function') node.addEventListener(name.slice(2), value);
    else if (typeof value === 'boolean') node.toggleAttribute(name, value);
    else node.setAttribute(name, String(value));
  }
  node.append(...content);
  return node;
}
