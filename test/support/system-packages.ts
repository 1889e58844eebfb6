/** Programs that some scenarios need beside Node. Where one is missing the scenario is skipped with the reason, but never in CI. */
import { spawnSync } from 'node:child_process';

export interface SystemNeed {
  /** The Debian package, as .ci/run installs it. */
  readonly debian: string;
  /** Ends with 0 where it is there. */
  readonly probe: readonly [command: string, ...args: string[]];
}

export const REDIS_SERVER: SystemNeed = { debian: 'redis-server', probe: ['redis-server', '--version'] };
export const PROMTOOL: SystemNeed = { debian: 'prometheus', probe: ['promtool', '--version'] };
export const OPENSSL: SystemNeed = { debian: 'openssl', probe: ['openssl', 'version'] };
export const PYTHON_GRPC: SystemNeed = { debian: 'python3-grpcio', probe: ['/usr/bin/python3', '-c', 'import grpc'] };
export const PROTOC: SystemNeed = { debian: 'protobuf-compiler', probe: ['protoc', '--version'] };
export const PROTOC_GRPC: SystemNeed = {
  debian: 'protobuf-compiler-grpc',
  probe: ['sh', '-c', 'command -v grpc_python_plugin'],
};
export const SYSTEMD: SystemNeed = { debian: 'systemd', probe: ['systemd-analyze', '--version'] };
export const TMUX: SystemNeed = { debian: 'tmux', probe: ['tmux', '-V'] };
export const ZSH: SystemNeed = { debian: 'zsh', probe: ['zsh', '--version'] };
export const FISH: SystemNeed = { debian: 'fish', probe: ['fish', '--version'] };

export function isThere({ probe: [command, ...args] }: SystemNeed): boolean {
  return spawnSync(command, args).status === 0;
}

/** Call at the start of a test. Fails in CI when something is missing, and skips elsewhere. */
export function need(context: { skip: (reason: string) => void }, ...needs: readonly SystemNeed[]): void {
  const missing = needs.filter((one) => !isThere(one));
  if (missing.length === 0) return;
  const reason = `needs the Debian packages ${missing.map(({ debian }) => debian).join(', ')}`;
  if (process.env['CI'] !== undefined) throw new Error(`${reason}: .ci/run has to install them`);
  context.skip(reason);
}
