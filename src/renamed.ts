/**
 * Files of older versions still open: names of options, saved fields and metrics that version 0.1 spelled differently, and
 * options that came later.
 */

/** Current names by old ones. */
const renamed: Readonly<Record<string, string>> = {
  neighbours: 'neighbors',
  normalise: 'normalize',
  normaliseAdvantages: 'normalizeAdvantages',
  normaliseObservations: 'normalizeObservations',
  normaliseRewards: 'normalizeRewards',
  rankStabilised: 'rankStabilized',
  renormalise: 'renormalize',
  unlearnt: 'unlearned',
};

/** Current names of metrics by old ones: each says which share it is. */
const renamedMetrics: Readonly<Record<string, string>> = {
  'reward/accuracy': 'reward/foreseen',
};

/** The current name of a metric. */
export const currentMetric = (name: string): string =>
  Object.hasOwn(renamedMetrics, name) ? renamedMetrics[name] : name;

/** The current name of an option, dotted paths included: `reward.normalise` is `reward.normalize`. */
export const currentName = (name: string): string =>
  name
    .split('.')
    .map((part) => (Object.hasOwn(renamed, part) ? renamed[part] : part))
    .join('.');

/** The old name of an option; undefined if it was never renamed. */
export function oldName(name: string): string | undefined {
  const old = name.split('.').map((part) => Object.keys(renamed).find((key) => renamed[key] === part) ?? part);
  return old.join('.') === name ? undefined : old.join('.');
}

/** Plain data with current names for its keys, at every depth. Typed arrays are left alone. */
export function withCurrentNames<T>(value: T): T {
  if (Array.isArray(value)) return value.map(withCurrentNames) as T;
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [currentName(key), withCurrentNames(inner)]),
  ) as T;
}

/** Options that have `rescaleActions`. */
const RESCALING = ['ppo', 'a2c', 'trpo', 'reward'];

/** The options of a run of `heed train` or `heed rl`; those that its version did not have are set to what it did. */
export function withOldDefaults(config: unknown): unknown {
  if (typeof config !== 'object' || config === null) return config;
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => [
      key,
      RESCALING.includes(key) && typeof value === 'object' ? { rescaleActions: false, ...value } : value,
    ]),
  );
}
