/** Checks a verb's options. Errors name the option. */
import { ZodError, z } from 'zod';
import { HeedError } from '../error.ts';
import { faultsInWords } from '../options.ts';

/**
 * Runs `check` on plain options and returns its result.
 *
 * @throws HeedError that names each wrong option, and any that the schema lacks.
 */
export function checkOptions<T>(schema: z.ZodType, options: unknown, check: () => T): T {
  const stray = strayOption(schema, options, []);
  if (stray) {
    throw new HeedError(`there is no option "${stray.path.join('.')}"`, {
      hint: `options are ${stray.names.join(', ')}`,
    });
  }
  try {
    return check();
  } catch (error) {
    if (!(error instanceof ZodError)) throw error;
    throw new HeedError(faultsInWords(error, options), {
      hint: "the options' types say what each may be",
      cause: error,
    });
  }
}

/** The first option that a schema lacks, and the names that it has there. */
function strayOption(
  schema: z.ZodType,
  options: unknown,
  path: string[],
): { path: string[]; names: string[] } | undefined {
  let inner = schema as z.ZodType & { unwrap?(): z.ZodType };
  while (inner.unwrap) inner = inner.unwrap() as typeof inner;
  if (!(inner instanceof z.ZodObject) || typeof options !== 'object' || options === null) return undefined;
  const { shape } = inner as z.ZodObject<Record<string, z.ZodType>>;
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    const stray = Object.hasOwn(shape, name)
      ? strayOption(shape[name], value, [...path, name])
      : { path: [...path, name], names: Object.keys(shape) };
    if (stray) return stray;
  }
  return undefined;
}
