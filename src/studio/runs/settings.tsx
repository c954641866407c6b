/** The settings of runs, side by side. */
import { settingTexts } from '../../setting-texts.ts';
import { WideTable } from '../page/parts.tsx';
import type { RunDetails } from './data.ts';

/** A table of settings. `differing`: only those that are not the same in all runs. */
export function Settings({ runs, differing = false }: { runs: readonly RunDetails[]; differing?: boolean }) {
  const columns = runs.map(
    ({ info, checkpoints }) =>
      new Map([
        ['command', info.command],
        ...settingTexts(info.config, ''),
        ['seed', String(info.seed)],
        ...(differing
          ? []
          : ([
              ['started', info.started],
              ...settingTexts(info.versions, 'versions'),
              ['checkpoints', checkpoints.map(Number).join(', ')],
            ] as [string, string][])),
      ]),
  );
  const names = [...new Set(columns.flatMap((one) => [...one.keys()]))].filter(
    (name) => !differing || new Set(columns.map((one) => one.get(name))).size > 1,
  );
  if (names.length === 0) return <p class="quiet">All settings are the same.</p>;
  return (
    <WideTable
      label="Settings"
      columns={['Setting', ...runs.map(({ id }) => id.replace('~', ' › '))]}
      rows={names.map((name) => [name, ...columns.map((one) => one.get(name) ?? '–')])}
    />
  );
}
