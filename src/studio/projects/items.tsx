/** The items of a project: found by words and state, looked at with their judgments, put away or deleted. */
import { useState } from 'preact/hooks';
import type { ListedItem, ListOptions } from '../../feedback/items/browse.ts';
import type { ChoiceVerdict, ItemState } from '../../feedback/items/states.ts';
import { describeJudgment } from '../label/describe.ts';
import { inProject, json, type Person, projectApi } from '../page/api.ts';
import { Comments } from '../page/comments.tsx';
import { NumberField, Pages, SearchField, Select, Tick } from '../page/fields.tsx';
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
  /** An aspect that a judgment rates, and the lowest and highest ratings of it. */
  aspect: string | null;
  least: number | null;
  most: number | null;
}
const UNRATED = { aspect: null, least: null, most: null };
const EVERYTHING: Filter = { search: '', state: 'all', person: '', verdict: null, ...UNRATED };

/** The page of a project's items. */
export function ItemsPage({ project: name, person }: { project: string; person: Person }) {
  const [filter, setFilter] = useState(EVERYTHING);
  const [page, setPage] = useState(0);
  const [picked, setPicked] = useState<readonly string[]>([]);
  const isOwner = person.role === 'owner';
  const change = (to: Partial<Filter>) => {
    setFilter((filter) => ({ ...filter, ...to }));
    setPage(0);
    setPicked([]);
  };
  const given = Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== null)) as ListOptions;
  const query = { ...given, limit: PAGE, offset: page * PAGE };
  const key = JSON.stringify(query);
  const list = useResource(() => json(projectApi.items.$get({ ...inProject(name), query })), name, key);
  const done = () => {
    setPicked([]);
    list.reload();
  };
  return (
    <main class="manage">
      <h1>Items of {name}</h1>
      <FilterFields project={name} filter={filter} change={change} />
      <Filters project={name} filter={filter} choose={change} />
      {isOwner && <BulkActs project={name} picked={picked} isArchive={filter.state === 'archived'} done={done} />}
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
            {isOwner && items.length > 1 && (
              <Tick
                label="Select all on this page"
                checked={items.every(({ id }) => picked.includes(id))}
                set={(on) => setPicked(on ? items.map(({ id }) => id) : [])}
              />
            )}
            <ul class="items">
              {items.map((item) => (
                <Line
                  key={item.id}
                  project={name}
                  item={item}
                  isPicked={picked.includes(item.id)}
                  pick={
                    isOwner
                      ? (on) => setPicked(on ? [...picked, item.id] : picked.filter((id) => id !== item.id))
                      : undefined
                  }
                />
              ))}
            </ul>
            <Pages page={page} pages={Math.ceil(total / PAGE)} set={setPage} />
          </>
        )}
      </Loaded>
    </main>
  );
}

interface FilterProps {
  project: string;
  filter: Filter;
  change(to: Partial<Filter>): void;
}

/** What the list is narrowed by. */
function FilterFields({ project, filter, change }: FilterProps) {
  const people = useResource(() => json(projectApi.work.$get({ ...inProject(project), query: {} })), project);
  const details = useResource(() => json(projectApi.$get(inProject(project))), project);
  const names = (people.value ?? []).map((one) => [one.person, one.person]);
  const aspects = (details.value?.settings.aspects ?? []).map(({ name }) => [name, name]);
  const { aspect } = filter;
  return (
    <div class="row">
      <SearchField
        label="Search"
        value={filter.search}
        placeholder="words in the text, source or topic"
        set={(search) => change({ search })}
      />
      <Select label="Show" value={filter.state} options={STATES} set={(state) => change({ state })} />
      <Select
        label="Judged by"
        value={filter.person}
        options={{ '': 'anybody', ...Object.fromEntries(names) } as Record<string, string>}
        set={(person) => change({ person })}
      />
      <Select
        label="A judgment says"
        value={filter.verdict ?? ''}
        options={{ '': 'anything', ...VERDICTS }}
        set={(verdict) => change({ verdict: verdict === '' ? null : verdict })}
      />
      {aspects.length > 0 && (
        <Select
          label="A judgment rates"
          value={aspect ?? ''}
          options={{ '': 'anything', ...Object.fromEntries(aspects) } as Record<string, string>}
          set={(name) => change({ ...UNRATED, aspect: name || null })}
        />
      )}
      {aspect !== null && (
        <>
          <NumberField
            label="from"
            value={filter.least ?? undefined}
            set={(least) => change({ least: least ?? null })}
          />
          <NumberField label="to" value={filter.most ?? undefined} set={(most) => change({ most: most ?? null })} />
        </>
      )}
    </div>
  );
}

interface BulkProps {
  project: string;
  picked: readonly string[];
  /** Whether the items are put away: they are taken back then. */
  isArchive: boolean;
  done(): void;
}

/** What an owner does with several items at once. */
function BulkActs({ project, picked, isArchive, done }: BulkProps) {
  const { run, note } = useAction();
  const members = useResource(() => json(projectApi.members.$get(inProject(project))), project);
  const at = inProject(project);
  const items = [...picked];
  const act = (what: string, work: () => Promise<{ items: number }>) =>
    run(async () => {
      const { items: count } = await work();
      done();
      return `${what} ${count} ${count === 1 ? 'item' : 'items'}.`;
    });
  const archive = () => json(projectApi.items.archive.$post({ ...at, json: { items, archived: !isArchive } }));
  const remove = () => json(projectApi.items.delete.$post({ ...at, json: { items } }));
  const assign = (people: string[]) => json(projectApi.items.assign.$post({ ...at, json: { items, people } }));
  const names = (members.value?.members ?? []).map((one) => [one, one]);
  return (
    <>
      {picked.length > 0 && (
        <div class="row pages">
          <button type="button" onClick={() => act(isArchive ? 'Restored' : 'Archived', archive)}>
            {isArchive ? 'Restore' : 'Archive'} {picked.length} selected
          </button>
          <button
            type="button"
            class="danger"
            onClick={() =>
              confirm(`Delete ${picked.length} items and their judgments? This cannot be undone.`) &&
              act('Deleted', remove)
            }
          >
            Delete {picked.length} selected
          </button>
          <Select
            label={`Assign ${picked.length} selected to`}
            value=""
            options={
              { '': 'choose', ...Object.fromEntries(names), [EVERYBODY]: 'everybody again' } as Record<string, string>
            }
            set={(one) => act('Assigned', () => assign(one === EVERYBODY ? [] : [one]))}
          />
        </div>
      )}
      {note}
    </>
  );
}

interface LineProps {
  project: string;
  item: ListedItem;
  isPicked: boolean;
  /** Picks the item; undefined for those who can do nothing with it. */
  pick: ((on: boolean) => void) | undefined;
}

/** An item in the list, which opens. */
function Line({ project, item, isPicked, pick }: LineProps) {
  const [open, setOpen] = useState(false);
  return (
    <li>
      <div class="row line">
        {pick && (
          <input
            type="checkbox"
            aria-label={`Select “${item.text.slice(0, 40)}”`}
            checked={isPicked}
            onChange={({ currentTarget: { checked } }) => pick(checked)}
          />
        )}
        <button type="button" class="plain excerpt" aria-expanded={open} onClick={() => setOpen(!open)}>
          {item.text || item.shows}
        </button>
        <span class="quiet">
          {[
            ...(item.gold ? ['gold'] : []),
            ...(item.decided && !item.gold ? ['decided'] : []),
            `${item.answered} of ${item.wanted} judgments`,
            ...(item.comments > 0 ? [`${item.comments} comments`] : []),
            ...(item.topic ? [item.topic] : []),
          ].join(' · ')}
        </span>
      </div>
      {open && <Details project={project} item={item.id} />}
    </li>
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
          <Select
            label="Saved filter"
            value={chosen}
            options={{ '': 'none', ...Object.fromEntries(all.map(({ name }) => [name, name])) }}
            set={(value) => {
              setChosen(value);
              const { name: _, ...saved } = all.find(({ name }) => name === value) ?? { name: '', ...EVERYTHING };
              choose(saved);
            }}
          />
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
