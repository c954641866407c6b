/** Fields of a schema with other defaults, for algorithms that share settings. */
import type { z } from 'zod';

type Shape = Record<string, z.ZodType>;

/** The same fields; those named get another default and keep their description. */
export function withDefaults<S extends Shape>(shape: S, defaults: { [K in keyof S]?: z.output<S[K]> }): S {
  const changed = Object.entries(defaults).map(([name, value]) => {
    const field = shape[name] as unknown as z.ZodDefault<z.ZodType>;
    return [
      name,
      field
        .unwrap()
        .default(value as never)
        .describe(field.description!),
    ];
  });
  return { ...shape, ...Object.fromEntries(changed) };
}
