/** Names as players type them: whatever it is, the room takes it, and everybody reads the same. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nameBytes, nameLetters, shorten, shownName } from '../demo-game/rules/names.ts';
import { readUrl } from '../demo-game/page/settings.ts';
import { anyText } from './any-text.ts';
import { Table } from './demo-table.ts';

const bytesOf = (text: string): number => new TextEncoder().encode(text).length;
const family = '👨‍👩‍👧‍👦';

describe('a name', () => {
  it.each([
    ['Ann', 'Ann'],
    ['  Ann   the\n2nd ', 'Ann the 2nd'],
    ['Александра Петрова', 'Александра Петрова'],
    ['漢字漢字漢字漢字漢字漢字', '漢字漢字漢字漢字漢字漢字'],
    ['W'.repeat(24), 'W'.repeat(20)],
    ['漢'.repeat(24), '漢'.repeat(20)],
    ['😀'.repeat(24), '😀'.repeat(20)],
    [family.repeat(6), family.repeat(3)],
    [`${'a'.repeat(19)}😀`, `${'a'.repeat(19)}😀`],
    ['\u202Ecba', 'cba'],
    ['\u200B\u200B', ''],
    ['\u200D\u0301', ''],
    ['\uD83D', ''],
    ['Ann\t\0\tB', 'Ann B'],
  ])('%j shows as %j', (typed, shown) => {
    expect(shownName(typed)).toBe(shown);
  });

  it('fits, whatever is typed, and is shown of itself unchanged', () => {
    fc.assert(
      fc.property(anyText(60), (typed) => {
        const name = shownName(typed);
        expect(bytesOf(name)).toBeLessThanOrEqual(nameBytes);
        expect(shorten(name, nameLetters)).toBe(name);
        expect(shownName(name)).toBe(name);
      }),
    );
  });

  it('is taken by the room at its longest', async () => {
    const table = new Table();
    const { room } = await table.join(shownName('😀'.repeat(24)));
    expect(room.self.presence.name).toBe('😀'.repeat(20));
  });

  it('from the address of the page is a name like any other', () => {
    expect(readUrl(`?name=${encodeURIComponent(`${'a'.repeat(19)}😀b`)}`).name).toBe(`${'a'.repeat(19)}😀`);
    expect(readUrl('?name=%20').name).toBeUndefined();
  });

  it('is cut between letters where there is no room for all', () => {
    expect(shorten(`${family}${family}${family}`, 2)).toBe(`${family}…`);
    expect(shorten('Ann, Bo', 7)).toBe('Ann, Bo');
  });
});
