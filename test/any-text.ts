/** Texts of any code points, for properties. */
import fc from 'fast-check';

/** All but the halves of pairs; blanks, joiners and marks more often. */
const codePoint = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 0x10_f7ff }).map((index) => (index < 0xd800 ? index : index + 0x800)) },
  { weight: 1, arbitrary: fc.constantFrom(0x20, 0x200d, 0x301, 0x1f468, 0xe0101) },
);

/** What `fc.string` with `unit: 'binary'` gives, too, once it has made a table of all code points, which takes a second. */
export const anyText = (maxLength: number): fc.Arbitrary<string> =>
  fc.array(codePoint, { maxLength, size: 'max' }).map((points) => String.fromCodePoint(...points));
