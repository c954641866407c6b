/** What annotators have done, how long it took, and what it pays. */
import { useState } from 'preact/hooks';
import { inProject, json, type Person, projectApi } from '../page/api.ts';
import { Loaded, useResource } from '../page/load.tsx';
import { WideTable } from '../page/parts.tsx';

const COLUMNS = ['Name', 'Items', 'Judgments', 'Skips', 'Minutes', 'Reserved now', 'Last', 'Amount'];

/** The start of a day that an input of dates names, in milliseconds since 1970. */
const dayOf = (date: string): number | undefined => (date === '' ? undefined : new Date(`${date}T00:00`).getTime());
const DAY = 24 * 3600 * 1000;

/** The section of a project's page about the work of its annotators. */
export function WorkPage({ name, person }: { name: string; person: Person }) {
  const [rate, setRate] = useState<number>();
  const [[from, to], setDays] = useState(['', '']);
  const end = dayOf(to);
  const query = { rate, since: dayOf(from), until: end === undefined ? undefined : end + DAY };
  const work = useResource(() => json(projectApi.work.$get({ ...inProject(name), query })), name, rate, from, to);
  return (
    <section aria-labelledby="work-title">
      <h2 id="work-title">Work of annotators</h2>
      <p class="quiet">
        Time counts from seeing an item to judging it: ten minutes at most, and no more than had passed since the item
        was handed out. Imports are left out.
      </p>
      <div class="row">
        <label>
          From
          <input type="date" value={from} onInput={({ currentTarget: { value } }) => setDays([value, to])} />
        </label>
        <label>
          To
          <input type="date" value={to} onInput={({ currentTarget: { value } }) => setDays([from, value])} />
        </label>
        <label>
          Pay per hour
          <input
            type="number"
            min={0}
            step="any"
            placeholder="of the project"
            value={rate ?? ''}
            onInput={({ currentTarget: { valueAsNumber } }) => setRate(valueAsNumber > 0 ? valueAsNumber : undefined)}
          />
        </label>
      </div>
      <Loaded of={work}>
        {(all) =>
          all.length === 0 ? (
            <p class="quiet">Nobody has judged in this time.</p>
          ) : (
            <>
              <WideTable label="Table of work">
                <thead>
                  <tr>
                    {COLUMNS.map((title) => (
                      <th scope="col">{title}</th>
                    ))}
                  </tr>
                </thead>
                <tbody>
                  {all.map(({ person, items, judgments, skips, minutes, implausible, open, last, amount }) => (
                    <tr>
                      <th scope="row">{person}</th>
                      <td>{items}</td>
                      <td>{judgments}</td>
                      <td>{skips}</td>
                      <td>
                        {minutes.toFixed(1)}
                        {implausible > 0 && (
                          <span class="missing">
                            {' '}
                            ({implausible} {implausible === 1 ? 'time' : 'times'} stated longer than had passed)
                          </span>
                        )}
                      </td>
                      <td>{open}</td>
                      <td>{last === null ? '–' : new Date(last).toLocaleString()}</td>
                      <td>{amount === null ? '–' : amount.toFixed(2)}</td>
                    </tr>
                  ))}
                </tbody>
              </WideTable>
              {person.role === 'owner' && all.every(({ amount }) => amount !== null) && (
                <a
                  class="button"
                  download
                  href={`/api${projectApi.payments.$path({ ...inProject(name), query: { ...query, as: 'csv' } })}`}
                >
                  Download payments as CSV
                </a>
              )}
            </>
          )
        }
      </Loaded>
    </section>
  );
}
