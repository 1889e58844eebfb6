/** docs/seeds.md as data: what each row says can be typed, and which tests and files it names. */

export interface SeedRow {
  readonly feature: string;
  readonly commands: readonly string[];
  /** A file, and the title of a test, or the words, that are in it. */
  readonly places: readonly { readonly path: string; readonly quoted: string | undefined }[];
}

/** deploy/run.sh is a file where it stands alone, and a command with its arguments. */
const COMMAND = /^(?:shoal |curl |echo |ls |du |deploy\/(?:config|reset)\.sh\b|deploy\/run\.sh )/u;
const PATH = /^(?:\.?[\w@-]+\/)*\.?[\w@.-]+$/u;

export function seedRows(page: string): readonly SeedRow[] {
  return page
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| in the document '))
    .map((line) => {
      const [feature = '', here = ''] = line
        .slice(2)
        .split(/ \| ?/u)
        .map((cell) => cell.replaceAll('\\|', '|'));
      const spans = [...here.matchAll(/`([^`]+)`(?: "([^"]+)")?/gu)];
      return {
        feature,
        commands: spans.flatMap(([, text = '']) => (COMMAND.test(text) ? [text] : [])),
        places: spans.flatMap(([, path = '', quoted]) =>
          !COMMAND.test(path) && PATH.test(path) ? [{ path, quoted }] : [],
        ),
      };
    });
}
