/**
 * TypeScript source as a checker needs to see it: code without what people wrote into comments, and string literals as a list. Not a
 * parser: it knows comments, strings, templates and regular expressions, and leaves everything else as it stands.
 */

export interface StringLiteral {
  /** Offset of the opening quote, and one past the closing quote. */
  readonly start: number;
  readonly end: number;
  /** What stands between the quotes, escapes untouched. */
  readonly text: string;
}

export interface SourceText {
  /** As long as the source, line breaks kept; comments are blank, strings and regular expressions keep only their delimiters. */
  readonly code: string;
  readonly strings: readonly StringLiteral[];
  /** Comments as they stand, for rules about comments. */
  readonly comments: readonly { readonly start: number; readonly text: string }[];
}

/** After one of these words a slash begins a regular expression. */
const WORD_BEFORE_REGEX = /(?:^|[^\w$.])(?:return|typeof|case|in|of|delete|void|throw|new|else|do|await|yield)$/;
const VALUE_END = /[\w$)\]}]$/;

export function readSourceText(source: string): SourceText {
  const code = source.split(''); // by code units, so that offsets in `code` are offsets in the source
  const strings: StringLiteral[] = [];
  const comments: { start: number; text: string }[] = [];
  /** Depth of braces inside each open `${`; the innermost is last. */
  const substitutions: number[] = [];
  let before = ''; // the last code seen on the way, without blanks at its end
  let at = 0;

  const blank = (from: number, to: number): void => {
    for (let index = from; index < to; index++) if (source[index] !== '\n') code[index] = ' ';
  };
  const see = (text: string): void => {
    before = (before + text).slice(-16).trimEnd();
  };
  /** Reads a template from `from` (just after a backtick or a closing brace) to its end or its next `${`. */
  const readTemplate = (from: number): number => {
    let index = from;
    while (index < source.length && source[index] !== '`') {
      if (source[index] === '$' && source[index + 1] === '{') {
        blank(from, index);
        substitutions.push(0);
        see('(');
        return index + 2;
      }
      index += source[index] === '\\' ? 2 : 1;
    }
    blank(from, index);
    see(')');
    return Math.min(index + 1, source.length);
  };

  while (at < source.length) {
    const char = source[at] ?? '';
    const next = source[at + 1];
    if (char === '/' && (next === '/' || next === '*')) {
      const found = next === '/' ? source.indexOf('\n', at) : source.indexOf('*/', at + 2);
      const end = found < 0 ? source.length : next === '/' ? found : found + 2;
      comments.push({ start: at, text: source.slice(at, end) });
      blank(at, end);
      at = end;
    } else if (char === "'" || char === '"') {
      let end = at + 1;
      while (end < source.length && source[end] !== char && source[end] !== '\n') end += source[end] === '\\' ? 2 : 1;
      strings.push({ start: at, end: end + 1, text: source.slice(at + 1, end) });
      blank(at + 1, end);
      see(')');
      at = end + 1;
    } else if (char === '`') {
      const end = readTemplate(at + 1);
      if (source[end - 1] === '`') strings.push({ start: at, end, text: source.slice(at + 1, end - 1) });
      at = end;
    } else if (char === '/' && beginsRegex(before.trimEnd())) {
      const end = regexEnd(source, at);
      blank(at + 1, end - 1);
      see(')');
      at = end;
    } else if (char === '}' && substitutions.at(-1) === 0) {
      substitutions.pop();
      at = readTemplate(at + 1);
    } else {
      const depth = substitutions.length - 1;
      if (depth >= 0 && char === '{') substitutions[depth] = (substitutions[depth] ?? 0) + 1;
      if (depth >= 0 && char === '}') substitutions[depth] = (substitutions[depth] ?? 0) - 1;
      if (char.trim() === '') {
        if (/[\w$]$/.test(before)) before += ' '; // keeps two words apart
      } else see(char);
      at++;
    }
  }
  return { code: code.join(''), strings, comments };
}

function beginsRegex(before: string): boolean {
  return !VALUE_END.test(before) || WORD_BEFORE_REGEX.test(before);
}

/** One past the closing slash of the regular expression that begins at `start`. */
function regexEnd(source: string, start: number): number {
  let inClass = false;
  for (let index = start + 1; index < source.length; index++) {
    const char = source[index];
    if (char === '\n') return index;
    if (char === '\\') index++;
    else if (char === '[') inClass = true;
    else if (char === ']') inClass = false;
    else if (char === '/' && !inClass) return index + 1;
  }
  return source.length;
}

/** The line, counted from 1, of an offset. */
export function lineAt(source: string, offset: number): number {
  let line = 1;
  for (let index = source.indexOf('\n'); index >= 0 && index < offset; index = source.indexOf('\n', index + 1)) line++;
  return line;
}
