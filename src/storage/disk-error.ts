/** What a failed file operation means: the one place where system error codes of the disk become ShoalErrors. */
import { ShoalError, systemErrorCode } from '../errors.ts';

/**
 * Wraps what a file operation threw. `what` is the beginning of the sentence ("cannot write chunk 7 of /x/y.part").
 * A ShoalError passes through.
 */
export function diskError(thrown: unknown, what: string): ShoalError {
  if (thrown instanceof ShoalError) return thrown;
  const code = systemErrorCode(thrown);
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new ShoalError('no-space', `${what}: the disk is full`, {
        cause: thrown,
        hint: 'Free some space and start again: what was fetched is kept.',
      });
    case 'EACCES':
    case 'EPERM':
      return new ShoalError('not-allowed', `${what}: permission denied`, {
        cause: thrown,
        hint: 'Check who owns the file and its folder.',
      });
    case 'EROFS':
      return new ShoalError('not-allowed', `${what}: the disk is mounted read-only`, {
        cause: thrown,
        hint: 'Choose another folder with -o.',
      });
    case 'ENAMETOOLONG':
      return new ShoalError('usage', `${what}: the name is too long for this disk`, {
        cause: thrown,
        hint: 'Choose a shorter one with -o.',
      });
    case 'ENOENT':
      return new ShoalError('disk', `${what}: there is no such file or folder`, { cause: thrown });
    case 'EMFILE':
    case 'ENFILE':
      return new ShoalError('disk', `${what}: too many files are open`, {
        cause: thrown,
        hint: 'Raise the limit of open files (ulimit -n).',
      });
    default:
      return new ShoalError('disk', `${what}: ${thrown instanceof Error ? thrown.message : String(thrown)}`, {
        cause: thrown,
      });
  }
}

/** Whether a failed operation says that the path is not there (any more). */
export function isMissing(thrown: unknown): boolean {
  const code = systemErrorCode(thrown);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/** The error of work that its AbortSignal ended. */
export function cancelledError(what: string, signal?: AbortSignal): ShoalError {
  return new ShoalError('cancelled', `${what} was cancelled`, signal === undefined ? {} : { cause: signal.reason });
}
