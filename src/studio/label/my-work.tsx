/** One's own judgments of a project: searched, read with what was there before, and corrected. */
import { useState } from 'preact/hooks';
import {
  inProject,
  type JudgmentOrSkip,
  json,
  type OwnJudgment,
  type Person,
  type ProjectDetails,
  projectApi,
} from '../page/api.ts';
import { ErrorNote } from '../page/error-note.tsx';
import { Pages, SearchField, Select } from '../page/fields.tsx';
import { OptionsView, PromptView } from '../page/item.tsx';
import { Loaded, useResource } from '../page/load.tsx';
import { useWords } from '../words/words.ts';
import { describeJudgment } from './describe.ts';
import { type Draft, draftOf, wordsOf } from './drafts.ts';
import { InItsLanguage } from './in-its-language.tsx';
import { Judging } from './judging.tsx';

const PAGE = 20;

/** The page of what somebody has judged and skipped in a project. */
export const MyWork = ({ project, person }: { project: string; person: Person }) => (
  <InItsLanguage project={project}>{(details) => <Work project={details} person={person} />}</InItsLanguage>
);

function Work({ project, person }: { project: ProjectDetails; person: Person }) {
  const { myWork, language } = useWords();
  const [search, setSearch] = useState('');
  const [kind, setKind] = useState<'all' | 'judged' | 'skipped'>('all');
  const [page, setPage] = useState(0);
  const [saved, setSaved] = useState<string>();
  const { name } = project;
  const query = { search, kind, limit: PAGE, offset: page * PAGE };
  const list = useResource(() => json(projectApi.mine.$get({ ...inProject(name), query })), name, search, kind, page);
  const corrected = (item: string) => {
    setSaved(item);
    list.reload();
  };
  return (
    <main class="manage mine" lang={language}>
      <header class="progress">
        <h1>{myWork.title}</h1>
        <a class="button tools" href={`#/label/${encodeURIComponent(name)}`}>
          {myWork.judge}
        </a>
      </header>
      <div class="row">
        <SearchField
          label={myWork.search}
          value={search}
          set={(words) => {
            setSearch(words);
            setPage(0);
          }}
        />
        <Select
          label={myWork.show}
          value={kind}
          options={myWork.kinds}
          set={(one) => {
            setKind(one);
            setPage(0);
          }}
        />
      </div>
      <Loaded of={list}>
        {({ total, judgments }) => (
          <>
            {total === 0 && <p class="empty">{search === '' && kind === 'all' ? myWork.none : myWork.noMatch}</p>}
            <ul class="entries-list">
              {judgments.map((entry) => (
                <li key={entry.item.id}>
                  {saved === entry.item.id && <p role="status">{myWork.saved}</p>}
                  <Entry entry={entry} project={project} person={person} onCorrected={() => corrected(entry.item.id)} />
                </li>
              ))}
            </ul>
            <Pages page={page} pages={Math.ceil(total / PAGE)} set={setPage} words={[myWork.previous, myWork.next]}>
              {page + 1} / {Math.ceil(total / PAGE)}
            </Pages>
          </>
        )}
      </Loaded>
    </main>
  );
}

interface EntryProps {
  entry: OwnJudgment;
  project: ProjectDetails;
  person: Person;
  onCorrected(): void;
}

function Entry({ entry, project, person, onCorrected }: EntryProps) {
  const words = useWords();
  const [open, setOpen] = useState(false);
  const { item, shown, judgment, history } = entry;
  const when = (time: number) => new Date(time).toLocaleString(words.language);
  const said = (one: JudgmentOrSkip) => describeJudgment(one, shown, words);
  const { reason } = judgment;
  return (
    <details open={open} onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>
        <span class="excerpt">{excerptOf(entry)}</span> <strong>{said(judgment)}</strong>{' '}
        <span class="quiet when">{when(entry.created)}</span>
      </summary>
      {open && (
        <>
          <PromptView prompt={item.content.prompt} />
          <OptionsView content={item.content} shown={shown} />
          {reason && judgment.kind !== 'skip' && (
            <p>
              {words.reason}: {reason}
            </p>
          )}
          {history.length > 0 && (
            <ol class="judgments" aria-label={words.myWork.before}>
              {history.map((one) => (
                <li class="quiet">
                  {one.judgment ? said(one.judgment) : words.myWork.undone}, {when(one.created)}
                </li>
              ))}
            </ol>
          )}
          {item.practice ? (
            <p class="quiet">{words.myWork.practice}</p>
          ) : (
            <Correction entry={entry} project={project} person={person} onCorrected={onCorrected} />
          )}
        </>
      )}
    </details>
  );
}

/** The controls that replace a judgment. What is written stays in this browser until it is sent. */
function Correction({ entry: { item, shown, judgment }, project, person, onCorrected }: EntryProps) {
  const { myWork } = useWords();
  const [correcting, setCorrecting] = useState(false);
  const [error, setError] = useState<Error>();
  const stored = draftOf(person, project.id, item.id);
  const draft: Draft = { ...stored, read: () => ({ ...wordsOf(judgment), ...stored.read() }) };
  const send = (judgment: JudgmentOrSkip) => {
    setError(undefined);
    const body = { id: crypto.randomUUID(), item: item.id, judgment, shown, guidelines: project.guidelines.version };
    json(projectApi.judgments.$post({ ...inProject(project.name), json: body })).then(() => {
      stored.sent();
      setCorrecting(false);
      onCorrected();
    }, setError);
  };
  if (!correcting) {
    return (
      <button type="button" onClick={() => setCorrecting(true)}>
        {myWork.correct}
      </button>
    );
  }
  return (
    <>
      {error && <ErrorNote error={error} />}
      <Judging settings={project.settings} content={item.content} shown={shown} draft={draft} onJudgment={send} />
    </>
  );
}

/** The beginning of what was asked, or of the first option. */
function excerptOf({ item: { content } }: OwnJudgment): string {
  const { prompt, options } = content;
  const last = Array.isArray(prompt) ? prompt.at(-1)?.content : prompt;
  const [first] = options;
  const shown = first?.kind === 'text' ? first.text : (first?.kind ?? '');
  return (typeof last === 'string' ? last : shown).slice(0, 200);
}
