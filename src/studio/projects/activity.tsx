/** The audit log: what was done to the store, by whom and when, sign-ins included. */
import { useState } from 'preact/hooks';
import type { AuditEntry } from '../../feedback/store/audit.ts';
import { api, json } from '../page/api.ts';
import { Loaded, useResource } from '../page/load.tsx';
import { WideTable } from '../page/parts.tsx';

const PAGE = 100;

/** The page of the audit log. */
export function Activity() {
  const [before, setBefore] = useState<number[]>([]);
  const at = before.at(-1);
  const lines = useResource(() => json(api.audit.$get({ query: { before: at, limit: PAGE } })), at);
  return (
    <main class="manage">
      <header class="progress">
        <h1>Activity</h1>
        <span class="tools">
          {(['csv', 'jsonl'] as const).map((as) => (
            <a class="button" download href={`/api${api.audit.export.$path({ query: { as } })}`}>
              Download {as.toUpperCase()}
            </a>
          ))}
        </span>
      </header>
      <p class="quiet">Who changed what, and who signed in. Judgments are in each project.</p>
      <Check />
      <Loaded of={lines}>
        {(all) => (
          <>
            <WideTable label="Activity">
              <thead>
                <tr>
                  {['Time', 'Person', 'What', 'Project', 'Details'].map((title) => (
                    <th scope="col">{title}</th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {all.map((line) => (
                  <Line key={line.seq} {...line} />
                ))}
              </tbody>
            </WideTable>
            <div class="row pages">
              <button type="button" disabled={before.length === 0} onClick={() => setBefore(before.slice(0, -1))}>
                Newer
              </button>
              <button
                type="button"
                disabled={all.length < PAGE}
                onClick={() => setBefore([...before, all.at(-1)!.seq])}
              >
                Older
              </button>
            </div>
          </>
        )}
      </Loaded>
    </main>
  );
}

/** Whether the log is as it was written, and the hash to write down. */
function Check() {
  const check = useResource(() => json(api.audit.check.$get({ query: {} })));
  return (
    <Loaded of={check}>
      {({ valid, lines, head, fault }) =>
        valid ? (
          <p class="quiet">
            The log is whole: {lines} {lines === 1 ? 'line' : 'lines'}.
            {head && (
              <>
                {' '}
                The last one has the hash <code>{head.hash}</code>. Keep it elsewhere: it shows later whether lines were
                cut off.
              </>
            )}
          </p>
        ) : (
          <div class="failure" role="alert">
            <p>The log is not as it was written. {fault?.message}</p>
          </div>
        )
      }
    </Loaded>
  );
}

function Line({ time, person, kind, project, detail, erased }: AuditEntry) {
  // all settings of a new project are in the download
  const details = Object.entries(detail).flatMap(([name, value]) =>
    name === 'settings' ? [] : [`${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`],
  );
  return (
    <tr>
      <td class="when">{new Date(time).toLocaleString()}</td>
      <td>{person ?? '–'}</td>
      <td class="when">{kind}</td>
      <td>{project ?? '–'}</td>
      <td class="quiet detail">{erased ? 'deleted' : details.join(', ').slice(0, 300)}</td>
    </tr>
  );
}
