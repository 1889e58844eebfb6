/**
 * A folder with the certificates of a swarm, as `shoal cert` keeps it. Nothing in it is overwritten unless it is renewed; keys can be
 * read by their owner only.
 *
 *     shoal-certs/ca.pem, ca.key               the authority; its key signs for the swarm and belongs on no other machine
 *     shoal-certs/NAME/cert.pem, key.pem, ca.pem   what the node NAME is given, and gives to --tls
 */
import { mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ShoalError, systemErrorCode } from '../errors.ts';
import type { Certified } from '../net/cert-authority.ts';
import { CA_FILE, CERT_FILE, KEY_FILE } from './tls-option.ts';

const AUTHORITY_KEY_FILE = 'ca.key';
const NODE_NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/iu;
const SECRET = 0o600;
const PUBLIC = 0o644;

/** Throws `usage` for a name that cannot be that of a folder beside the authority's files. */
export function checkNodeName(name: string): string {
  if (NODE_NAME.test(name) && name !== CA_FILE && name !== AUTHORITY_KEY_FILE) return name;
  throw new ShoalError('usage', `${JSON.stringify(name)} cannot name a node: it takes letters, digits, dots and -_`, {
    hint: 'addresses and further names go into --host',
  });
}

export class CertFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  get authorityPath(): string {
    return join(this.path, CA_FILE);
  }

  nodePath(name: string): string {
    return join(this.path, name);
  }

  /** Undefined: there is none yet. */
  async authority(): Promise<Certified | undefined> {
    const cert = await readIfThere(this.authorityPath);
    const key = await readIfThere(join(this.path, AUTHORITY_KEY_FILE));
    if (cert === undefined && key === undefined) return undefined;
    if (cert !== undefined && key !== undefined) return { cert, key };
    throw new ShoalError(
      'usage',
      `${this.path} holds only half of an authority: ${CA_FILE} or ${AUTHORITY_KEY_FILE} is missing`,
      {
        hint: 'the key may be where the authority was made; certificates are made there',
      },
    );
  }

  /** Throws `conflict` when there is one. */
  async keepAuthority({ cert, key }: Certified): Promise<void> {
    await mkdir(this.path, { recursive: true, mode: 0o700 });
    await writeNew(join(this.path, AUTHORITY_KEY_FILE), key, SECRET);
    await writeNew(this.authorityPath, cert, PUBLIC);
  }

  /** Puts a renewed authority in place, here and in the folders of its nodes. Answers with their names. */
  async replaceAuthority(cert: string): Promise<readonly string[]> {
    await replace(this.authorityPath, cert);
    const names: string[] = [];
    for (const entry of await readdir(this.path, { withFileTypes: true })) {
      if (!entry.isDirectory() || (await readIfThere(join(this.path, entry.name, CA_FILE))) === undefined) continue;
      await replace(join(this.path, entry.name, CA_FILE), cert);
      names.push(entry.name);
    }
    return names;
  }

  /** Undefined: there is none of this name. */
  async node(name: string): Promise<Certified | undefined> {
    const cert = await readIfThere(join(this.nodePath(name), CERT_FILE));
    const key = await readIfThere(join(this.nodePath(name), KEY_FILE));
    return cert === undefined || key === undefined ? undefined : { cert, key };
  }

  /** Throws `conflict` when there is one of this name. */
  async keepNode(name: string, { cert, key }: Certified, authorityCert: string): Promise<void> {
    const folder = this.nodePath(name);
    await mkdir(folder, { mode: 0o700 }).catch((error: unknown) => {
      throw systemErrorCode(error) === 'EEXIST' ? thereAlready(folder) : unwritable(folder, error);
    });
    await writeNew(join(folder, KEY_FILE), key, SECRET);
    await writeNew(join(folder, CERT_FILE), cert, PUBLIC);
    await writeNew(join(folder, CA_FILE), authorityCert, PUBLIC);
  }

  /** The key stays, so that the change is of one file and nobody ever sees half of it. */
  async replaceNode(name: string, cert: string, authorityCert: string): Promise<void> {
    await replace(join(this.nodePath(name), CA_FILE), authorityCert);
    await replace(join(this.nodePath(name), CERT_FILE), cert);
  }

  async hasNode(name: string): Promise<boolean> {
    return (await stat(this.nodePath(name)).catch(() => undefined)) !== undefined;
  }
}

export function thereAlready(path: string): ShoalError {
  return new ShoalError('conflict', `${path} is there already and is not overwritten`, {
    hint: '--renew makes it good for longer; to begin anew, move it away first',
  });
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error))) return undefined;
    throw new ShoalError('usage', `${path} cannot be read`, { cause: error });
  }
}

async function writeNew(path: string, text: string, mode: number): Promise<void> {
  try {
    await writeFile(path, text, { mode, flag: 'wx' });
  } catch (error) {
    throw systemErrorCode(error) === 'EEXIST' ? thereAlready(path) : unwritable(path, error);
  }
}

async function replace(path: string, text: string): Promise<void> {
  const fresh = `${path}.new`;
  try {
    await writeFile(fresh, text, { mode: PUBLIC });
    await rename(fresh, path);
  } catch (error) {
    throw unwritable(path, error);
  }
}

function unwritable(path: string, cause: unknown): ShoalError {
  return new ShoalError('not-allowed', `${path} cannot be written (${systemErrorCode(cause)})`, { cause });
}
