/** The program's first file. Does what has to come before everything else is loaded, and hands over. */
import { availableParallelism } from 'node:os';

// libuv reads it when its thread pool is first used; bin/start.cjs sets it too
process.env['UV_THREADPOOL_SIZE'] ??= String(availableParallelism() + 4);

const { runProcess } = await import('./run.ts');
await runProcess();
