/**
 * Loaded before the simulator (`node --import ./sim/varied-limits.ts`), lets a run have other values of src/limits.ts than the program: what
 * a constant is worth is shown by the shipped policy with another one. `SHOAL_SIM_LIMITS={"HAVE_COALESCE_MS":250}`.
 */
import { registerHooks } from 'node:module';
import { ShoalError } from '../src/errors.ts';

const varied = JSON.parse(process.env['SHOAL_SIM_LIMITS'] ?? '{}') as Record<string, number>;

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (!url.endsWith('/src/limits.ts') || loaded.source === undefined || loaded.source === null) return loaded;
    let source = typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source);
    for (const [name, value] of Object.entries(varied)) {
      const declaration = new RegExp(`export const ${name} = [^;]+;`, 'u');
      if (!declaration.test(source)) throw new ShoalError('usage', `there is no limit ${name}`);
      source = source.replace(declaration, `export const ${name} = ${value};`);
    }
    return { ...loaded, source };
  },
});
