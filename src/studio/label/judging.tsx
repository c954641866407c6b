/** The controls with which an item is judged: by its kind, with aspects and a reason, or skipped. */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Judgment, JudgmentOrSkip, PairChoice } from '../page/api.ts';
import { en } from '../words/en.ts';
import { useWords, type Words } from '../words/words.ts';
import type { Draft, Written } from './drafts.ts';
import { bindings, type KeyAction, useKeys } from './keys.ts';
import type { KindProps } from './kind-props.ts';
import { RankingControls } from './ranking.tsx';
import { focusScales, Scales } from './scales.tsx';

const KINDS = {
  pair: Pair,
  ranking: RankingControls,
  rating: Rating,
  binary: Binary,
  correction: WrittenText,
  demonstration: WrittenText,
};

/** How much better the chosen option of a pair is. Their keys are not those of the choice, which can still be changed. */
const STRENGTHS = ['slightly', 'clearly', 'much'] as const;

const SKIPS = ['notUnderstood', 'notQualified', 'notForPeople'] as const satisfies (keyof Words['skips'])[];

/** The controls for one item: another item needs another `key`. */
export function Judging({
  settings,
  content,
  shown,
  onJudgment,
  noSkip = false,
  preview = false,
  suggested,
  draft,
  onChoice,
  picked,
}: Omit<KindProps, 'submit' | 'paused' | 'written' | 'keep'> & {
  onJudgment(judgment: JudgmentOrSkip): void;
  /** Whether a judgment is needed. */
  noSkip?: boolean;
  /** Whether the controls are only shown: no key belongs to them. */
  preview?: boolean;
  /** What a model suggests, which one key accepts. */
  suggested?: Judgment;
  /** Where what is written stays until it is sent. */
  draft?: Draft;
}) {
  const words = useWords();
  const [skipping, setSkipping] = useState(false);
  const [aspects, setAspects] = useState<Record<string, number>>({});
  const why = useRef<HTMLTextAreaElement>(null);
  const better = useRef<HTMLTextAreaElement>(null);
  const keys = bindings();
  const Kind = KINDS[settings.kind];
  const { written, kept, keep } = useWritten(draft);

  const { submit, skip, missing } = useSubmission({ settings, shown, onJudgment }, aspects, { why, better });
  const acceptable = suggested && isComplete(suggested, settings) ? suggested : undefined;
  useKeys((action, key) => {
    if (preview) return false;
    if (skipping) {
      if (key === 'escape') setSkipping(false);
      else if (action === 'skip') skip();
      else if (SKIPS[Number(key) - 1]) skip(SKIPS[Number(key) - 1]);
      else return false;
      return true;
    }
    if (action === 'skip' && !noSkip) setSkipping(true);
    else if (action === 'accept' && acceptable) submit(acceptable);
    else if (action === 'reason') openFold(why.current);
    else if (action === 'write') {
      if (better.current) openFold(better.current);
      else focusWriting();
    } else return false;
    return true;
  });

  const isLong = settings.kind === 'rating' || settings.kind === 'correction' || settings.kind === 'demonstration';
  return (
    <div class="answering">
      {settings.kind !== 'rating' && settings.aspects.length > 0 && (
        <Scales
          aspects={settings.aspects}
          values={aspects}
          rate={(name, value) => setAspects((ratings) => ({ ...ratings, [name]: value }))}
          ends={settings.kind === 'pair' ? [words.leftEnd, words.rightEnd] : undefined}
        />
      )}
      <Extras
        settings={settings}
        places={{ why, better }}
        written={written}
        kept={kept}
        keep={keep}
        missing={missing}
      />
      {skipping && <SkipReasons skip={skip} back={() => setSkipping(false)} />}
      <div class={isLong ? 'actions long' : 'actions'} hidden={skipping}>
        <Kind
          settings={settings}
          content={content}
          shown={shown}
          submit={submit}
          paused={skipping || preview}
          written={written}
          keep={keep}
          onChoice={onChoice}
          picked={picked}
        />
        {acceptable && (
          <button type="button" onClick={() => submit(acceptable)}>
            {words.acceptSuggestion} <kbd>{keys.accept}</kbd>
          </button>
        )}
        {!noSkip && (
          <button type="button" class="skip plain" onClick={() => setSkipping(true)}>
            {words.skip} <kbd>{keys.skip}</kbd>
          </button>
        )}
      </div>
    </div>
  );
}

/** Sends a judgment, or a skip, with what was written and rated beside it. */
function useSubmission(
  {
    settings,
    shown,
    onJudgment,
  }: Pick<KindProps, 'settings' | 'shown'> & { onJudgment(judgment: JudgmentOrSkip): void },
  aspects: Readonly<Record<string, number>>,
  { why, better }: { why: Field; better: Field },
) {
  const [missing, setMissing] = useState(false);
  const reason = () => {
    const text = why.current?.value.trim();
    return text ? { reason: text } : {};
  };
  const submit = (judgment: Judgment) => {
    if (settings.reason === 'required' && !reason().reason) {
      setMissing(true);
      openFold(why.current);
      return;
    }
    const ratings = judgment.kind === 'rating' || Object.keys(aspects).length === 0 ? {} : { aspects: turned() };
    const correction = judgment.kind === 'pair' ? better.current?.value.trim() : undefined;
    onJudgment({ ...judgment, ...(correction && { better: correction }), ...ratings, ...reason() } as Judgment);
  };
  // for a pair, a scale goes from the first option to the second, on whichever side they were shown
  const turned = () =>
    Object.fromEntries(
      settings.aspects.flatMap(({ name, scale }) =>
        name in aspects
          ? [[name, settings.kind === 'pair' && shown[0] === 1 ? scale + 1 - aspects[name] : aspects[name]]]
          : [],
      ),
    );
  // stored in English whatever the page's language, so that reasons can be counted over projects
  const skip = (because?: keyof Words['skips']) => {
    const { reason: written } = reason();
    const reasons = [...(because ? [en.skips[because]] : []), ...(written ? [written] : [])];
    onJudgment({ kind: 'skip', ...(reasons.length > 0 && { reason: reasons.join(': ') }) });
  };
  return { submit, skip, missing };
}

/** What was written about an item, and whether it is kept. */
function useWritten(draft: Draft | undefined) {
  const [written] = useState(() => draft?.read() ?? {});
  const keptOf = (draft: Written) => (hasWords(draft) ? 'kept' : undefined);
  const [kept, setKept] = useState<'kept' | 'not kept' | undefined>(keptOf(written));
  const keep: KindProps['keep'] = (field, value) => {
    if (!draft) return;
    const isKept = draft.write(field, value);
    setKept(isKept ? keptOf(draft.read()) : 'not kept');
  };
  return { written, kept, keep };
}

type Field = { current: HTMLTextAreaElement | null };

/** What can be written beside a judgment: a better response, and a reason. */
function Extras({
  settings: { kind, better, reason },
  places,
  written,
  kept,
  keep,
  missing,
}: Pick<KindProps, 'settings'> &
  ReturnType<typeof useWritten> & { places: { why: Field; better: Field }; missing: boolean }) {
  const words = useWords();
  const keys = bindings();
  return (
    <div class="extras">
      {kind === 'pair' && better && (
        <Fold
          place={places.better}
          name={words.betterResponse}
          shortcut={keys.write}
          text={written.better}
          keep={(text) => keep('better', text)}
        />
      )}
      {reason !== 'none' && (
        <Fold
          place={places.why}
          name={reason === 'required' ? words.reason : words.reasonOptional}
          shortcut={keys.reason}
          text={written.reason}
          missing={missing ? words.reasonMissing : undefined}
          isOpen={reason === 'required'}
          keep={(text) => keep('reason', text)}
        />
      )}
      {kept && (
        <p class={kept === 'kept' ? 'quiet kept' : 'missing kept'} role="status">
          {kept === 'kept' ? words.draftKept : words.draftNotKept}
        </p>
      )}
    </div>
  );
}

/** Why an item is skipped. */
function SkipReasons({ skip, back }: { skip(because?: keyof Words['skips']): void; back(): void }) {
  const words = useWords();
  return (
    <div class="actions">
      <fieldset class="choices skipping" aria-label={words.reasonForSkipping}>
        {SKIPS.map((because, i) => (
          <button type="button" onClick={() => skip(because)}>
            {words.skips[because]} <kbd>{i + 1}</kbd>
          </button>
        ))}
        <button type="button" onClick={() => skip()}>
          {words.justSkip} <kbd>{bindings().skip}</kbd>
        </button>
        <button type="button" onClick={back}>
          {words.back} <kbd>{words.keyEscape}</kbd>
        </button>
      </fieldset>
    </div>
  );
}

/** A field that unfolds where it is needed. It is open from the start if something was written. */
function Fold({
  place,
  name,
  shortcut,
  text,
  missing,
  isOpen = false,
  keep,
}: {
  place: Field;
  name: string;
  /** The key that opens it. */
  shortcut: string;
  text: string | undefined;
  /** What is missing in it. */
  missing?: string;
  isOpen?: boolean;
  keep(text: string): void;
}) {
  const [begins] = useState(isOpen || text !== undefined);
  return (
    <details class="fold" open={begins}>
      <summary>
        {name} <kbd>{shortcut}</kbd>
        {missing && <strong class="missing"> {missing}</strong>}
      </summary>
      <textarea
        ref={place}
        rows={2}
        dir="auto"
        aria-label={name}
        defaultValue={text}
        onInput={({ currentTarget: { value } }) => keep(value)}
        onKeyDown={leave}
      />
    </details>
  );
}

function openFold(field: HTMLTextAreaElement | null): void {
  const fold = field?.closest('details');
  if (fold) fold.open = true;
  field?.focus();
}

/** Whether a draft has words for the judgment. A comment is sent for itself. */
const hasWords = ({ comment: _, ...words }: Written): boolean => Object.keys(words).length > 0;

/** Whether a suggestion is a whole judgment: a model may rate some aspects only. */
const isComplete = (judgment: Judgment, { kind, aspects }: KindProps['settings']): boolean =>
  judgment.kind === kind && (judgment.kind !== 'rating' || aspects.every(({ name }) => name in judgment.ratings));

function leave(event: KeyboardEvent & { currentTarget: HTMLElement }): void {
  if (event.key !== 'Escape') return;
  event.preventDefault();
  event.currentTarget.blur();
}

function focusWriting(): void {
  const writing = document.querySelector<HTMLTextAreaElement>('.written textarea');
  if (writing) writing.focus();
  else focusScales();
}

function Pair({ settings, shown, submit, paused, onChoice, picked }: KindProps) {
  const words = useWords();
  const [choice, keepChoice] = useState<PairChoice>();
  const setChoice = (chosen: PairChoice | undefined) => {
    keepChoice(chosen);
    const option = ['first', 'second'].indexOf(chosen ?? '');
    onChoice?.(option < 0 ? undefined : option);
  };
  useEffect(() => {
    if (picked && !paused) setChoice((['first', 'second'] as const)[picked.option]);
  }, [picked]);
  const [left, right]: PairChoice[] = shown[0] === 0 ? ['first', 'second'] : ['second', 'first'];
  const keys = bindings();
  const isDecided = choice === left || choice === right;
  const asksStrength = settings.strength && isDecided;
  const send = (chosen: PairChoice, strength?: number) =>
    submit({ kind: 'pair', choice: chosen, ...(strength && { strength }) });
  const choose = (chosen: PairChoice) => {
    const more = (settings.strength && (chosen === left || chosen === right)) || settings.aspects.length > 0;
    if (more) setChoice(chosen);
    else send(chosen);
  };
  // in the order of their keys: the two that are asked for, then what is rarer
  const choices: [KeyAction, PairChoice, string][] = [
    ['first', left, words.leftIsBetter],
    ['second', right, words.rightIsBetter],
    ...(settings.tie ? [['tie', 'tie', words.tie] as [KeyAction, PairChoice, string]] : []),
    ...(settings.bothBad ? [['both-bad', 'both-bad', words.bothBad] as [KeyAction, PairChoice, string]] : []),
    ...(settings.unknown ? [['unknown', 'unknown', words.cannotTell] as [KeyAction, PairChoice, string]] : []),
  ];
  useKeys((action, key) => {
    if (paused) return false;
    const strength = STRENGTHS.indexOf(action as (typeof STRENGTHS)[number]);
    if (asksStrength && strength >= 0) send(choice, strength + 1);
    else if (choice && key === 'escape') setChoice(undefined);
    else if (choice && action === 'send' && !asksStrength) send(choice);
    else {
      const match = choices.find(([name]) => name === action);
      if (!match) return false;
      choose(match[1]);
    }
    return true;
  });
  return (
    <>
      <fieldset class="choices of-pair" aria-label={words.yourJudgment}>
        {choices.map(([action, value, text]) => (
          <button
            type="button"
            class={action}
            aria-pressed={choice === undefined ? undefined : choice === value}
            onClick={() => choose(value)}
          >
            {text} <kbd>{keys[action]}</kbd>
          </button>
        ))}
      </fieldset>
      {asksStrength && (
        <fieldset class="choices strength" aria-label={words.howMuchBetter}>
          {STRENGTHS.map((much, i) => (
            <button type="button" onClick={() => send(choice, i + 1)}>
              {words.muchBetter[much]} <kbd>{keys[much]}</kbd>
            </button>
          ))}
        </fieldset>
      )}
      {choice && !asksStrength && (
        <button type="button" class="primary" onClick={() => send(choice)}>
          {words.send} <kbd>{keys.send}</kbd>
        </button>
      )}
    </>
  );
}

function Binary({ submit, paused }: KindProps) {
  const words = useWords();
  const keys = bindings();
  const judge = (good: boolean) => submit({ kind: 'binary', good });
  useKeys((action) => {
    if (paused || (action !== 'first' && action !== 'second')) return false;
    judge(action === 'first');
    return true;
  });
  return (
    <fieldset class="choices" aria-label={words.yourJudgment}>
      <button type="button" class="good" onClick={() => judge(true)}>
        {words.good} <kbd>{keys.first}</kbd>
      </button>
      <button type="button" class="bad" onClick={() => judge(false)}>
        {words.bad} <kbd>{keys.second}</kbd>
      </button>
    </fieldset>
  );
}

function Rating({ settings: { aspects }, submit, paused }: KindProps) {
  const words = useWords();
  const [values, setValues] = useState<Record<string, number>>({});
  const complete = aspects.every(({ name }) => name in values);
  const send = () => complete && submit({ kind: 'rating', ratings: values });
  useKeys((action) => {
    if (paused || action !== 'send') return false;
    send();
    return true;
  });
  useLayoutEffect(focusScales, []);
  return (
    <>
      <Scales
        aspects={aspects}
        values={values}
        rate={(name, value) => setValues((ratings) => ({ ...ratings, [name]: value }))}
      />
      <button type="button" class="primary" disabled={!complete} onClick={send}>
        {words.send} <kbd>{bindings().send}</kbd>
      </button>
    </>
  );
}

function WrittenText({ settings: { kind }, content, submit, paused, written, keep }: KindProps) {
  const words = useWords();
  const writing = useRef<HTMLTextAreaElement>(null);
  const [option] = content.options;
  const before = option?.kind === 'text' ? option.text : '';
  const send = () => {
    const text = writing.current!.value.trim();
    if (text === '') writing.current!.focus();
    else submit(kind === 'correction' ? { kind: 'correction', text } : { kind: 'demonstration', text });
  };
  useKeys((action) => {
    if (paused || action !== 'send') return false;
    send();
    return true;
  });
  useLayoutEffect(() => writing.current!.focus(), []);
  return (
    <>
      <label class="why written">
        {kind === 'correction' ? words.correctedResponse : words.yourResponse} <kbd>{bindings().write}</kbd>
        <textarea
          ref={writing}
          rows={8}
          dir="auto"
          defaultValue={written.text ?? before}
          onInput={({ currentTarget: { value } }) => keep('text', value === before ? undefined : value)}
          onKeyDown={(event) => {
            leave(event);
            if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) send();
          }}
        />
      </label>
      <button type="button" class="primary" onClick={send}>
        {words.send} <kbd>{words.keyControlEnter}</kbd>
      </button>
    </>
  );
}
