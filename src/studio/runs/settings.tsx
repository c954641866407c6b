/** The settings of runs, side by side. */
import type { RunDetails } from './data.ts';

/** A table of settings. `differing`: only those that are not the same in all runs. */
export function Settings({ runs, differing = false }: { runs: readonly RunDetails[]; differing?: boolean }) {
  const columns = runs.map(
    ({ info, checkpoints }) =>
      new Map([
        ['command', info.command],
        ...flat(info.config, ''),
        ['seed', String(info.seed)],
        ...(differing
          ? []
          : ([
              ['started', info.started],
              ...flat(info.versions, 'versions'),
              ['checkpoints', checkpoints.map(Number).join(', ')],
            ] as [string, string][])),
      ]),
  );
  const names = [...new Set(columns.flatMap((one) => [...one.keys()]))].filter(
    (name) => !differing || new Set(columns.map((one) => one.get(name))).size > 1,
  );
  if (names.length === 0) return <p class="quiet">All settings are the same.</p>;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
    <section class="scroll" aria-label="Settings" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">Setting</th>
            {runs.map(({ id }) => (
              <th key={id} scope="col">
                {id.replace('~', ' › ')}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {names.map((name) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              {columns.map((one) => (
                <td>{one.get(name) ?? '–'}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function flat(value: unknown, name: string): [name: string, value: string][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return [[name, typeof value === 'string' ? value : (JSON.stringify(value) ?? '')]];
  }
  return Object.entries(value).flatMap(([key, inner]) => flat(inner, name ? `${name}.${key}` : key));
}
