/** Names of players: what may be typed, and what of it is shown. */

/** Letters of a name, as a reader counts them. */
export const nameLetters = 20;
/** What they may come to in UTF-8: twenty of any script, or of plain emoji. */
export const nameBytes = 80;

/** A typed name as everybody sees it: one line, no character that only does mischief, and no half of a letter at its end. */
export function shownName(typed: string): string {
  // Joiners hold the people of one emoji together. The others of these classes turn the line around, or are not seen at all.
  const clean = typed
    .replaceAll(/\s+/gu, ' ')
    .replaceAll(/(?![\u200C\u200D])[\p{Cc}\p{Cf}\p{Cs}]/gu, '')
    // What was taken out may have stood between two blanks.
    .replaceAll(/ +/gu, ' ')
    .trim();
  let name = '';
  let bytes = 0;
  for (const letter of lettersOf(clean).slice(0, nameLetters)) {
    bytes += utf8Bytes(letter);
    if (bytes > nameBytes) break;
    name += letter;
  }
  // Marks and joiners alone are nothing to read.
  return /[\p{L}\p{N}\p{P}\p{S}]/u.test(name) ? name.trim() : '';
}

/** `text`, or its beginning and an ellipsis: `letters` at most. */
export function shorten(text: string, letters: number): string {
  const all = lettersOf(text);
  return all.length > letters ? `${all.slice(0, letters - 1).join('')}…` : text;
}

/** What a reader takes for letters: an emoji of seven code points is one. */
function lettersOf(text: string): string[] {
  if (!('Segmenter' in Intl)) return Array.from(text);
  return Array.from(new Intl.Segmenter('en').segment(text), ({ segment }) => segment);
}

function utf8Bytes(text: string): number {
  let bytes = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x1_0000 ? 3 : 4;
  }
  return bytes;
}
