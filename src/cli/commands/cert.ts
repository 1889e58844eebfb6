/** `shoal cert`: makes the certificates of an encrypted swarm: an authority of its own, and a folder for each node. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { ShoalError } from '../../errors.ts';
import { AUTHORITY_DAYS, CERTIFICATE_DAYS, CERTIFICATE_HOSTS_MAX } from '../../limits.ts';
import type { Certified } from '../../net/cert-authority.ts';
import { CertFolder, checkNodeName, thereAlready } from '../cert-folder.ts';
import { printable } from '../display-width.ts';
import { examples, type DefineCommand, type Runtime } from '../runtime.ts';

const FOLDER_DEFAULT = 'shoal-certs';
const DAYS_MAX = 36_500;
/** On its own machine every node is reached so. */
const LOCAL_HOSTS = ['localhost', '127.0.0.1', '::1'] as const;
const HOST_NAME =
  /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/iu;

interface CertFlags {
  readonly dir: string;
  readonly days?: number;
  readonly renew?: true;
}

interface NodeFlags extends CertFlags {
  readonly host?: readonly string[];
}

export const defineCert: DefineCommand = (command, runtime) => {
  command.addHelpText(
    'after',
    examples(
      ['shoal cert node tracker.lan alice bob', 'an authority, and a folder for each of three nodes'],
      ['shoal tracker --tls shoal-certs/tracker.lan', 'an encrypted tracker; each node gets its own folder'],
      ['shoal cert node box --host box.lan,192.0.2.7', 'further names and addresses of a node'],
      ['shoal cert node alice --renew', 'for another year, with the same key'],
      ['shoal cert show', 'what there is, and until when'],
    ),
  );
  flags(command.command('ca').description('make the authority that signs for the swarm, or renew it'), AUTHORITY_DAYS)
    .addOption(new Option('--renew', 'the same authority for longer: what it has signed stays good'))
    .action((options: CertFlags) => runAuthority(options, runtime));
  flags(command.command('node'), CERTIFICATE_DAYS)
    .description('make certificates for nodes, and the authority when there is none')
    .argument('<name...>', 'names of nodes: host names under which others reach them, where there are any')
    .addOption(
      new Option('--host <host>', 'a further name or address of the node; may be repeated').argParser(
        (text, before: readonly string[] | undefined) => [...(before ?? []), ...text.split(',').map(parseHost)],
      ),
    )
    .addOption(new Option('--renew', 'a new certificate for the key that is there'))
    .action((names: string[], options: NodeFlags) => runNodes(names, options, runtime));
  flags(command.command('show'))
    .description('show the certificates of the folder, or those in a file')
    .argument('[file]', 'a file with certificates in PEM')
    .action((file: string | undefined, options: CertFlags) => runShow(file, options, runtime));
};

function flags(command: Command, daysDefault?: number): Command {
  command.addOption(new Option('--dir <folder>', 'where the certificates are kept').default(FOLDER_DEFAULT));
  if (daysDefault === undefined) return command;
  return command.addOption(
    new Option('--days <days>', `how long it is good (default: ${daysDefault})`).argParser(parseDays),
  );
}

async function runAuthority({ dir, days = AUTHORITY_DAYS, renew }: CertFlags, runtime: Runtime): Promise<void> {
  const { output } = runtime;
  const folder = new CertFolder(dir);
  const validity = { nowMs: runtime.wallClock(), days };
  const known = await folder.authority();
  if (renew !== true) {
    if (known !== undefined) throw thereAlready(folder.authorityPath);
    const made = await makeAuthority(folder, days, runtime);
    output.document({ authority: describe(folder.authorityPath, made.cert) });
    return;
  }
  if (known === undefined) throw new ShoalError('usage', `there is no authority in ${dir} to renew`);
  const { renewAuthority } = await import('../../net/cert-authority.ts');
  const renewed = await renewAuthority(known, validity);
  const nodes = await folder.replaceAuthority(renewed.cert);
  output.document({ authority: describe(folder.authorityPath, renewed.cert), nodes });
  output.answer(`renewed ${folder.authorityPath} until ${endOf(renewed.cert)}`);
  if (nodes.length > 0)
    output.note(`give it to each node: ca.pem in the folders of ${nodes.join(', ')} is the new one`);
}

async function makeAuthority(folder: CertFolder, days: number, { output, wallClock }: Runtime): Promise<Certified> {
  const { createAuthority } = await import('../../net/cert-authority.ts');
  const authority = await createAuthority({ nowMs: wallClock(), days });
  await folder.keepAuthority(authority);
  output.answer(`made ${folder.authorityPath}, good until ${endOf(authority.cert)}`);
  output.note('ca.key beside it signs for the swarm: keep it here, and give it to no node');
  return authority;
}

async function runNodes(names: readonly string[], options: NodeFlags, runtime: Runtime): Promise<void> {
  const { dir, host, renew } = options;
  const { output } = runtime;
  const folder = new CertFolder(dir);
  for (const name of names) checkNodeName(name);
  if (host !== undefined && names.length > 1)
    throw new ShoalError('usage', '--host is about one node: name only that one');
  // all are looked at before the first is made
  for (const name of names) {
    const known = await folder.hasNode(name);
    if (known && renew !== true) throw thereAlready(folder.nodePath(name));
    if (!known && renew === true) throw new ShoalError('usage', `there is no node ${name} in ${dir} to renew`);
  }
  const authority = (await folder.authority()) ?? (await makeAuthority(folder, AUTHORITY_DAYS, runtime));
  const made: object[] = [];
  for (const name of new Set(names)) {
    const cert = await certify(folder, authority, name, options, runtime);
    made.push({ name, ...describe(folder.nodePath(name), cert) });
    output.answer(
      `${renew === true ? 'renewed' : 'made'} ${printable(folder.nodePath(name))}, good until ${endOf(cert)}`,
    );
  }
  output.document({ authority: describe(folder.authorityPath, authority.cert), nodes: made });
  output.note(`copy each folder to its machine and give it there: --tls ${folder.nodePath(names[0] ?? '')}`);
}

/** The certificate, which is in its place. */
async function certify(
  folder: CertFolder,
  authority: Certified,
  name: string,
  { days = CERTIFICATE_DAYS, host, renew }: NodeFlags,
  { wallClock }: Runtime,
): Promise<string> {
  const { issueCertificate } = await import('../../net/cert-authority.ts');
  const known = renew === true ? await folder.node(name) : undefined;
  if (renew === true && known === undefined)
    throw new ShoalError(
      'usage',
      `${folder.nodePath(name)} lacks its certificate or its key: move it away and make it anew`,
    );
  const before = known === undefined || host !== undefined ? [] : hostsOf(known.cert);
  const ownName = HOST_NAME.test(name) || isIP(name) !== 0 ? [name] : [];
  const hosts = [...new Set([...ownName, ...(host ?? []), ...before, ...LOCAL_HOSTS])];
  if (hosts.length > CERTIFICATE_HOSTS_MAX)
    throw new ShoalError('usage', `${hosts.length} hosts are more than the ${CERTIFICATE_HOSTS_MAX} of a certificate`);
  const issued = await issueCertificate(authority, { name, hosts, nowMs: wallClock(), days }, known?.key);
  if (known === undefined) await folder.keepNode(name, issued, authority.cert);
  else await folder.replaceNode(name, issued.cert, authority.cert);
  return issued.cert;
}

async function runShow(file: string | undefined, { dir }: CertFlags, { output }: Runtime): Promise<void> {
  const { readdir, readFile } = await import('node:fs/promises');
  const paths: string[] = [];
  if (file !== undefined) paths.push(file);
  else {
    const folder = new CertFolder(dir);
    if ((await folder.authority()) === undefined)
      throw new ShoalError('usage', `there are no certificates in ${dir}`, { hint: 'shoal cert node NAME makes some' });
    paths.push(folder.authorityPath);
    for (const name of (await readdir(dir)).toSorted())
      if ((await folder.node(name)) !== undefined) paths.push(resolve(folder.nodePath(name), 'cert.pem'));
  }
  const rows: ReturnType<typeof describe>[] = [];
  for (const path of paths) {
    const text = await readFile(path, 'utf8').catch((error: unknown) => {
      throw new ShoalError('usage', `${path} cannot be read`, { cause: error });
    });
    for (const pem of text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/gu) ?? [])
      rows.push(describe(path, pem));
  }
  output.document(rows);
  for (const { path, subject, until, hosts } of rows)
    output.answer(
      `${printable(path)}: ${printable(subject)}, until ${until.slice(0, 10)}${hosts.length > 0 ? `, for ${hosts.join(', ')}` : ''}`,
    );
}

function describe(path: string, pem: string) {
  const cert = new X509Certificate(pem);
  return {
    path,
    subject: cert.subject.replace(/^CN=/u, ''),
    hosts: hostsOf(pem),
    from: cert.validFromDate.toISOString(),
    until: cert.validToDate.toISOString(),
    sha256: cert.fingerprint256,
  };
}

function endOf(pem: string): string {
  return new X509Certificate(pem).validToDate.toISOString().slice(0, 10);
}

/** The names and addresses in a certificate. */
function hostsOf(pem: string): string[] {
  const names = new X509Certificate(pem).subjectAltName ?? '';
  return names
    .split(', ')
    .map((name) => /^(?:DNS|IP Address):(.+)$/u.exec(name)?.[1] ?? '')
    .filter((host) => host !== '')
    .map((host) => (isIP(host) === 6 ? new URL(`http://[${host}]`).hostname.slice(1, -1) : host));
}

function parseDays(text: string): number {
  const days = Number(text);
  if (Number.isInteger(days) && days >= 1 && days <= DAYS_MAX) return days;
  throw new InvalidArgumentError(`It takes a number of days from 1 to ${DAYS_MAX}.`);
}

function parseHost(text: string): string {
  const host = text.trim().replace(/^\[(.*)\]$/u, '$1');
  if ((isIP(host) !== 0 && !host.includes('%')) || HOST_NAME.test(host)) return host.toLowerCase();
  throw new InvalidArgumentError(`"${text}" is neither a host name nor an address.`);
}
