/** How many columns a text takes on a terminal, and how to fit it into fewer. Good enough for names; not a full terminal model. */

const WIDE =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\uFF01-\uFF60\uFFE0-\uFFE6]|\p{Emoji_Presentation}|\uFE0F/u;
const ASCII = /^[\u0020-\u007e]*$/;
// Escapes of colour and style, which take no column.
// eslint-disable-next-line no-control-regex -- the escape character is what is looked for
const STYLE = /\u001b\[[0-9;]*m/g;
// eslint-disable-next-line no-control-regex -- control characters and direction marks are exactly what must not reach a terminal
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

let segmenter: Intl.Segmenter | undefined;

/** Made when the first name needs it: that loads tables which take longer than the rest of a short command. */
function graphemesOf(text: string): Intl.Segments {
  segmenter ??= new Intl.Segmenter(undefined, { granularity: 'grapheme' });
  return segmenter.segment(text);
}

export function displayWidth(text: string): number {
  const plain = text.replace(STYLE, '');
  if (ASCII.test(plain)) return plain.length;
  let width = 0;
  for (const { segment } of graphemesOf(plain)) width += WIDE.test(segment) ? 2 : 1;
  return width;
}

/** The text cut in its middle, so that both its beginning and its end (the file's extension) stay visible. Takes plain text. */
export function fitMiddle(text: string, widthMax: number): string {
  if (displayWidth(text) <= widthMax) return text;
  if (widthMax < 4) return takeColumns(text, Math.max(0, widthMax));
  const segments = Array.from(graphemesOf(text), ({ segment }) => segment);
  let tail = '';
  for (let at = segments.length - 1; at >= 0; at--) {
    const longer = `${segments[at]}${tail}`;
    if (displayWidth(longer) > Math.floor((widthMax - 2) / 2)) break;
    tail = longer;
  }
  return `${takeColumns(text, widthMax - 2 - displayWidth(tail))}..${tail}`;
}

/** As much of the beginning as fits into so many columns. Takes plain text. */
export function takeColumns(text: string, widthMax: number): string {
  if (ASCII.test(text)) return text.slice(0, widthMax);
  let width = 0;
  let taken = '';
  for (const { segment } of graphemesOf(text)) {
    width += WIDE.test(segment) ? 2 : 1;
    if (width > widthMax) break;
    taken += segment;
  }
  return taken;
}

export function padColumns(text: string, width: number, align: 'left' | 'right'): string {
  const pad = ' '.repeat(Math.max(0, width - displayWidth(text)));
  return align === 'left' ? text + pad : pad + text;
}

/** Text from outside, safe to print: characters that command a terminal or turn its direction are written as escapes. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`);
}
