/** The project's own text files, for tests that hold all of them to a rule. */
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** The folder of package.json, with a separator at its end. */
export const PROJECT_DIR = fileURLToPath(new URL('../../', import.meta.url));

const LEFT_OUT = new Set(['node_modules', 'dist', 'coverage', 'gen']);

export interface ProjectFile {
  /** Relative to the project, with `/`. */
  readonly path: string;
  readonly text: string;
}

/** Every file below `folders` whose name `accept` takes, generated code left out. A folder that is missing has no files. */
export async function readProjectFiles(
  folders: readonly string[],
  accept: (name: string) => boolean = (name) => name.endsWith('.ts'),
): Promise<readonly ProjectFile[]> {
  const files: ProjectFile[] = [];
  const visit = async (folder: string): Promise<void> => {
    const entries = await readdir(PROJECT_DIR + folder, { withFileTypes: true }).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
      throw error;
    });
    for (const entry of entries) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory() && !LEFT_OUT.has(entry.name)) await visit(path);
      else if (entry.isFile() && accept(entry.name)) files.push({ path, text: await readProjectFile(path) });
    }
  };
  for (const folder of folders) await visit(folder);
  return files;
}

export function readProjectFile(path: string): Promise<string> {
  return readFile(PROJECT_DIR + path, 'utf8');
}
