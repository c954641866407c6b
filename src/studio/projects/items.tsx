/** The items of a project: found by words and state, looked at with their judgments, put away or deleted. */
import { useEffect, useState } from 'preact/hooks';
import { type ChoiceVerdict, type ItemState, itemStates, verdicts } from '../../feedback/items/states.ts';
import { describeJudgment } from '../label/describe.ts';
import { inProject, json, type Person, projectApi } from '../page/api.ts';
import { Comments } from '../page/comments.tsx';
import { OptionsView, PromptView } from '../page/item.tsx';
import { Loaded, useAction, useResource } from '../page/load.tsx';

const PAGE = 50;
/** No name of a person begins like this. */
const EVERYBODY = '*';
const STATES: Record<ItemState, string> = {
  all: 'All items',
  open: 'Open',
  complete: 'Complete',
  decided: 'Decided by a reviewer',
  gold: 'Gold',
  assigned: 'Assigned to people',
  commented: 'With comments',
  skipped: 'Skipped by somebody',
  disputed: 'Judged differently',
  archived: 'Archived',
};
const VERDICTS: Record<ChoiceVerdict, string> = {
  first: 'the first is better',
  second: 'the second is better',
  tie: 'equally good',
  'both-bad': 'both bad',
  unknown: 'cannot tell',
  good: 'good',
  bad: 'bad',
};

/** What the list shows. */
interface Filter {
  search: string;
  state: ItemState;
  person: string;
  verdict: ChoiceVerdict | null;
}
const EVERYTHING: Filter = { search: '', state: 'all', person: '', verdict: null };

/** The page of a project's items. */
export function ItemsPage({ project: name, person }: { project: string; person: Person }) {
  const [typed, setTyped] = useState('');
  const [filter, setFilter] = useState(EVERYTHING);
  const [page, setPage] = useState(0);
  const [picked, setPicked] = useState<readonly string[]>([]);
  const [open, setOpen] = useState<string>();
  const { run, note } = useAction();
  const change = (to: Partial<Filter>) => {
    setFilter((now) => ({ ...now, ...to }));
    setPage(0);
    setPicked([]);
  };
  const { state, verdict } = filter;
  const query = { ...filter, verdict: verdict ?? undefined, limit: PAGE, offset: page * PAGE };
  const list = useResource(
    () => json(projectApi.items.$get({ ...inProject(name), query })),
    name,
    JSON.stringify(filter),
    page,
  );
  const people = useResource(() => json(projectApi.work.$get({ ...inProject(name), query: {} })), name);
  const members = useResource(() => json(projectApi.members.$get(inProject(name))), name);
  useEffect(() => {
    // one request for several key presses
    const timer = setTimeout(() => typed !== filter.search && change({ search: typed }), 200);
    return () => clearTimeout(timer);
  }, [typed]);
  const act = (what: string, work: () => Promise<{ items: number }>) =>
    run(async () => {
      const { items } = await work();
      setPicked([]);
      list.reload();
      return `${what} ${items} ${items === 1 ? 'item' : 'items'}.`;
    });
  const body = { ...inProject(name), json: { items: [...picked] } };
  const archived = state !== 'archived';
  return (
    <main class="manage">
      <h1>Items of {name}</h1>
      <div class="row">
        <label>
          Search
          <input
            type="search"
            value={typed}
            placeholder="words in the text, source or topic"
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </label>
        <label>
          Show
          <select value={state} onChange={({ currentTarget: { value } }) => change({ state: value as ItemState })}>
            {itemStates.map((one) => (
              <option value={one}>{STATES[one]}</option>
            ))}
          </select>
        </label>
        <label>
          Judged by
          <select value={filter.person} onChange={({ currentTarget: { value } }) => change({ person: value })}>
            <option value="">anybody</option>
            {(people.value ?? []).map((one) => (
              <option value={one.person}>{one.person}</option>
            ))}
          </select>
        </label>
        <label>
          A judgment says
          <select
            value={verdict ?? ''}
            onChange={({ currentTarget: { value } }) =>
              change({ verdict: value === '' ? null : (value as ChoiceVerdict) })
            }
          >
            <option value="">anything</option>
            {verdicts.map((one) => (
              <option value={one}>{VERDICTS[one]}</option>
            ))}
          </select>
        </label>
      </div>
      <Filters
        project={name}
        filter={filter}
        choose={(chosen) => {
          setTyped(chosen.search);
          change(chosen);
        }}
      />
      {person.role === 'owner' && picked.length > 0 && (
        <div class="row pages">
          <button
            type="button"
            onClick={() =>
              act(archived ? 'Archived' : 'Restored', () =>
                json(projectApi.items.archive.$post({ ...body, json: { ...body.json, archived } })),
              )
            }
          >
            {archived ? 'Archive' : 'Restore'} {picked.length} selected
          </button>
          <button
            type="button"
            class="danger"
            onClick={() =>
              confirm(`Delete ${picked.length} items and their judgments? This cannot be undone.`) &&
              act('Deleted', () => json(projectApi.items.delete.$post(body)))
            }
          >
            Delete {picked.length} selected
          </button>
          <Loaded of={members}>
            {({ members: names }) => (
              <label>
                Assign {picked.length} selected to
                <select
                  value=""
                  onChange={({ currentTarget: { value } }) => {
                    const people = value === EVERYBODY ? [] : [value];
                    const assigned = { ...inProject(name), json: { items: [...picked], people } };
                    act('Assigned', () => json(projectApi.items.assign.$post(assigned)));
                  }}
                >
                  <option value="">choose</option>
                  {names.map((one) => (
                    <option value={one}>{one}</option>
                  ))}
                  <option value={EVERYBODY}>everybody again</option>
                </select>
              </label>
            )}
          </Loaded>
        </div>
      )}
      {note}
      <Loaded of={list}>
        {({ total, items }) => (
          <>
            <p class="quiet" role="status">
              {total} {total === 1 ? 'item' : 'items'}
              {picked.length > 0 && `, ${picked.length} selected`}
            </p>
            {total === 0 && filter !== EVERYTHING && (
              <p class="empty">Nothing matches. Widen the search, or choose another filter.</p>
            )}
            {person.role === 'owner' && items.length > 1 && (
              <label class="tick">
                <input
                  type="checkbox"
                  checked={items.every(({ id }) => picked.includes(id))}
                  onChange={({ currentTarget: { checked } }) => setPicked(checked ? items.map(({ id }) => id) : [])}
                />
                Select all on this page
              </label>
            )}
            <ul class="items">
              {items.map((item) => (
                <li key={item.id}>
                  <div class="row line">
                    {person.role === 'owner' && (
                      <input
                        type="checkbox"
                        aria-label={`Select “${item.text.slice(0, 40)}”`}
                        checked={picked.includes(item.id)}
                        onChange={({ currentTarget: { checked } }) =>
                          setPicked(checked ? [...picked, item.id] : picked.filter((id) => id !== item.id))
                        }
                      />
                    )}
                    <button
                      type="button"
                      class="plain excerpt"
                      aria-expanded={open === item.id}
                      onClick={() => setOpen(open === item.id ? undefined : item.id)}
                    >
                      {item.text || item.shows}
                    </button>
                    <span class="quiet">
                      {[
                        ...(item.gold ? ['gold'] : item.decided ? ['decided'] : []),
                        `${item.answered} of ${item.wanted} judgments`,
                        ...(item.comments > 0 ? [`${item.comments} comments`] : []),
                        ...(item.topic ? [item.topic] : []),
                      ].join(' · ')}
                    </span>
                  </div>
                  {open === item.id && <Details project={name} item={item.id} />}
                </li>
              ))}
            </ul>
            {total > PAGE && (
              <div class="row pages">
                <button type="button" disabled={page === 0} onClick={() => setPage(page - 1)}>
                  Previous
                </button>
                <span>
                  Page {page + 1} of {Math.ceil(total / PAGE)}
                </span>
                <button type="button" disabled={(page + 1) * PAGE >= total} onClick={() => setPage(page + 1)}>
                  Next
                </button>
              </div>
            )}
          </>
        )}
      </Loaded>
    </main>
  );
}

/** Searches that reviewers of the project share, by name. */
function Filters({ project, filter, choose }: { project: string; filter: Filter; choose(filter: Filter): void }) {
  const [chosen, setChosen] = useState('');
  const filters = useResource(() => json(projectApi.filters.$get(inProject(project))), project);
  const { run, note } = useAction();
  const save = (name: string) =>
    run(async () => {
      await json(projectApi.filters.$post({ ...inProject(project), json: { name, ...filter } }));
      filters.reload();
      setChosen(name);
      return undefined;
    });
  const remove = (name: string) =>
    run(async () => {
      const param = { ...inProject(project).param, name: encodeURIComponent(name) };
      await json(projectApi.filters[':name'].$delete({ param }));
      filters.reload();
      setChosen('');
      return undefined;
    });
  return (
    <div class="row pages">
      <Loaded of={filters}>
        {(all) => (
          <label>
            Saved filter
            <select
              value={chosen}
              onChange={({ currentTarget: { value } }) => {
                setChosen(value);
                const { name: _, ...saved } = all.find(({ name }) => name === value) ?? { name: '', ...EVERYTHING };
                choose(saved);
              }}
            >
              <option value="">none</option>
              {all.map(({ name }) => (
                <option value={name}>{name}</option>
              ))}
            </select>
          </label>
        )}
      </Loaded>
      <button
        type="button"
        onClick={() => {
          const name = prompt('Save this search for all reviewers of the project. Its name:', chosen)?.trim();
          if (name) save(name);
        }}
      >
        Save this filter
      </button>
      {chosen !== '' && (
        <button type="button" onClick={() => remove(chosen)}>
          Delete “{chosen}”
        </button>
      )}
      {note}
    </div>
  );
}

/** An item with everything that was recorded of it. */
function Details({ project, item }: { project: string; item: string }) {
  const record = useResource(
    () =>
      json(projectApi.items[':item'].$get({ param: { ...inProject(project).param, item: encodeURIComponent(item) } })),
    item,
  );
  return (
    <Loaded of={record}>
      {({ item: { content, gold, source }, judgments }) => {
        const shown = content.options.map((_, i) => i);
        return (
          <div class="details">
            <PromptView prompt={content.prompt} />
            <OptionsView content={content} shown={shown} />
            {gold && <p>Right judgment: {describeJudgment(gold, shown)}</p>}
            {source && <p class="quiet">Source: {source}</p>}
            {judgments.length === 0 && <p class="quiet">No judgments yet.</p>}
            <ul class="judgments" aria-label="Judgments">
              {judgments.map(({ person, kind, judgment, created }) => (
                <li>
                  <strong>{person}</strong> {kind === 'decision' && 'decided: '}
                  {judgment ? describeJudgment(judgment, shown) : 'undid a judgment'}{' '}
                  <span class="quiet">{new Date(created).toLocaleString()}</span>
                </li>
              ))}
            </ul>
            <Comments project={project} item={item} />
          </div>
        );
      }}
    </Loaded>
  );
}
