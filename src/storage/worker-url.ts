/** Finds a worker's file beside the module that starts it, as source (`.ts`) and as built (`.js`). */
export function workerUrl(name: string, importMetaUrl: string): URL {
  const extension = importMetaUrl.endsWith('.ts') ? 'ts' : 'js';
  return new URL(`./${name}.${extension}`, importMetaUrl);
}
