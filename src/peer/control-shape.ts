/** Checks of what came as JSON: each says whether a value is of a type, and nothing else. Unknown fields are let pass. */

export type Check<T> = (value: unknown) => value is T;

/** The optional fields of T as fields that may be undefined: each needs its check. */
type Checks<T> = { readonly [K in keyof T]-?: Check<T[K]> };

export const isText: Check<string> = (value) => typeof value === 'string';
export const isFlag: Check<boolean> = (value) => typeof value === 'boolean';
/** JSON knows no other numbers than finite ones. */
export const isNumber: Check<number> = (value): value is number => typeof value === 'number' && Number.isFinite(value);

export function isOneOf<const T extends string>(...words: readonly T[]): Check<T> {
  return (value): value is T => words.some((word) => word === value);
}

export function isOrNull<T>(check: Check<T>): Check<T | null> {
  return (value): value is T | null => value === null || check(value);
}

export function isOptional<T>(check: Check<T>): Check<T | undefined> {
  return (value): value is T | undefined => value === undefined || check(value);
}

export function isList<T>(check: Check<T>, countMax = Number.POSITIVE_INFINITY): Check<readonly T[]> {
  return (value): value is readonly T[] => Array.isArray(value) && value.length <= countMax && value.every(check);
}

export function isShape<T extends object>(checks: Checks<T>): Check<T> {
  const fields = Object.entries(checks) as readonly (readonly [string, Check<unknown>])[];
  return (value): value is T => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
    const found = value as Readonly<Record<string, unknown>>;
    return fields.every(([name, check]) => check(Object.hasOwn(found, name) ? found[name] : undefined));
  };
}
