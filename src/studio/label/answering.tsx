/** How an item is answered: by its kind, with aspects, a reason, or a word on why not. */
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Answer, PairChoice, Vote } from '../page/api.ts';
import { type Action, bindings, useKeys } from './keys.ts';
import type { KindProps } from './kind.ts';
import { Ranking } from './ranking.tsx';
import { focusScales, Scales } from './scales.tsx';
import { strengths } from './words.ts';

const KINDS = {
  pair: Pair,
  ranking: Ranking,
  rating: Rating,
  binary: Binary,
  correction: Written,
  demonstration: Written,
};

const SKIPS = ['I do not understand it', 'I do not know enough to tell', 'It should not be shown to people'];

/** Meant for one item: another needs another key. */
export function Answering({
  settings,
  content,
  shown,
  say,
  mustAnswer = false,
}: Omit<KindProps, 'give' | 'paused'> & { say(vote: Vote): void; mustAnswer?: boolean }) {
  const [skipping, setSkipping] = useState(false);
  const [aspects, setAspects] = useState<Record<string, number>>({});
  const [missing, setMissing] = useState(false);
  const why = useRef<HTMLTextAreaElement>(null);
  const keys = bindings();
  const Kind = KINDS[settings.kind];

  const reason = () => {
    const written = why.current?.value.trim();
    return written ? { reason: written } : {};
  };
  const give = (answer: Answer) => {
    if (settings.reason === 'required' && !reason().reason) {
      setMissing(true);
      why.current?.focus();
      return;
    }
    const rated = answer.kind === 'rating' || Object.keys(aspects).length === 0 ? {} : { aspects: turned() };
    say({ ...answer, ...rated, ...reason() });
  };
  // of a pair, aspects go from the first to the second, wherever they were seen
  const turned = () =>
    Object.fromEntries(
      settings.aspects.flatMap(({ name, scale }) =>
        name in aspects
          ? [[name, settings.kind === 'pair' && shown[0] === 1 ? scale + 1 - aspects[name] : aspects[name]]]
          : [],
      ),
    );
  const skip = (because?: string) => say({ kind: 'skip', ...(because ? { reason: because } : reason()) });
  useKeys((action, key) => {
    if (skipping) {
      if (key === 'escape') setSkipping(false);
      else if (action === 'skip') skip();
      else if (SKIPS[Number(key) - 1]) skip(SKIPS[Number(key) - 1]);
      else return false;
      return true;
    }
    if (action === 'skip' && !mustAnswer) setSkipping(true);
    else if (action === 'reason') why.current?.focus();
    else if (action === 'write') focusWriting();
    else return false;
    return true;
  });

  return (
    <div class="answering">
      {skipping && (
        <fieldset class="choices skipping" aria-label="Why do you skip it?">
          {SKIPS.map((because, i) => (
            <button type="button" onClick={() => skip(because)}>
              {because} <kbd>{i + 1}</kbd>
            </button>
          ))}
          <button type="button" onClick={() => skip()}>
            Just skip <kbd>{keys.skip}</kbd>
          </button>
          <button type="button" onClick={() => setSkipping(false)}>
            Back <kbd>esc</kbd>
          </button>
        </fieldset>
      )}
      <div hidden={skipping}>
        {settings.kind !== 'rating' && settings.aspects.length > 0 && (
          <Scales
            aspects={settings.aspects}
            values={aspects}
            rate={(name, value) => setAspects((now) => ({ ...now, [name]: value }))}
            ends={settings.kind === 'pair' ? ['left is better', 'right is better'] : undefined}
          />
        )}
        <Kind settings={settings} content={content} shown={shown} give={give} paused={skipping} />
        {!mustAnswer && (
          <button type="button" class="skip" onClick={() => setSkipping(true)}>
            Skip <kbd>{keys.skip}</kbd>
          </button>
        )}
      </div>
      {settings.reason !== 'none' && (
        <label class="why">
          Why{settings.reason === 'required' ? '' : ', if you like'} <kbd>{keys.reason}</kbd>
          {missing && <strong class="missing"> Say why in a few words, then answer again.</strong>}
          <textarea ref={why} rows={2} onKeyDown={leave} />
        </label>
      )}
    </div>
  );
}

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

function Pair({ settings, shown, give, paused }: KindProps) {
  const [choice, setChoice] = useState<PairChoice>();
  const better = useRef<HTMLTextAreaElement>(null);
  const [left, right]: PairChoice[] = shown[0] === 0 ? ['first', 'second'] : ['second', 'first'];
  const keys = bindings();
  const isDecided = choice === left || choice === right;
  const asksStrength = settings.strength && isDecided;
  const send = (said: PairChoice, strength?: number) => {
    const written = better.current?.value.trim();
    give({ kind: 'pair', choice: said, ...(strength && { strength }), ...(written && { better: written }) });
  };
  const choose = (said: PairChoice) => {
    const more = (settings.strength && (said === left || said === right)) || settings.aspects.length > 0;
    if (more) setChoice(said);
    else send(said);
  };
  const choices: [Action, PairChoice, string][] = [
    ['first', left, 'Left is better'],
    ...(settings.tie ? [['tie', 'tie', 'Equally good'] as [Action, PairChoice, string]] : []),
    ...(settings.bothBad ? [['both-bad', 'both-bad', 'Both bad'] as [Action, PairChoice, string]] : []),
    ...(settings.unknown ? [['unknown', 'unknown', 'Cannot tell'] as [Action, PairChoice, string]] : []),
    ['second', right, 'Right is better'],
  ];
  useKeys((action, key) => {
    if (paused) return false;
    if (asksStrength && key >= '1' && key <= '3') send(choice, Number(key));
    else if (choice && key === 'escape') setChoice(undefined);
    else if (choice && action === 'send' && !asksStrength) send(choice);
    else {
      const found = choices.find(([own]) => own === action);
      if (!found) return false;
      choose(found[1]);
    }
    return true;
  });
  return (
    <>
      {settings.better && (
        <label class="why written">
          A better answer than both, if you like <kbd>{keys.write}</kbd>
          <textarea ref={better} rows={3} onKeyDown={leave} />
        </label>
      )}
      <fieldset class="choices" aria-label="Your answer">
        {choices.map(([action, said, text]) => (
          <button
            type="button"
            class={action}
            aria-pressed={choice === undefined ? undefined : choice === said}
            onClick={() => choose(said)}
          >
            {text} <kbd>{keys[action]}</kbd>
          </button>
        ))}
      </fieldset>
      {asksStrength && (
        <fieldset class="choices strength" aria-label="How much better?">
          {strengths.map((much, i) => (
            <button type="button" onClick={() => send(choice, i + 1)}>
              {much} better <kbd>{i + 1}</kbd>
            </button>
          ))}
        </fieldset>
      )}
      {choice && !asksStrength && (
        <button type="button" class="send" onClick={() => send(choice)}>
          Send <kbd>{keys.send}</kbd>
        </button>
      )}
    </>
  );
}

function Binary({ give, paused }: KindProps) {
  const keys = bindings();
  const say = (good: boolean) => give({ kind: 'binary', good });
  useKeys((action) => {
    if (paused || (action !== 'first' && action !== 'second')) return false;
    say(action === 'first');
    return true;
  });
  return (
    <fieldset class="choices" aria-label="Your answer">
      <button type="button" class="good" onClick={() => say(true)}>
        Good <kbd>{keys.first}</kbd>
      </button>
      <button type="button" class="bad" onClick={() => say(false)}>
        Bad <kbd>{keys.second}</kbd>
      </button>
    </fieldset>
  );
}

function Rating({ settings: { aspects }, give, paused }: KindProps) {
  const [values, setValues] = useState<Record<string, number>>({});
  const complete = aspects.every(({ name }) => name in values);
  const send = () => complete && give({ kind: 'rating', ratings: values });
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
        rate={(name, value) => setValues((now) => ({ ...now, [name]: value }))}
      />
      <button type="button" class="send" disabled={!complete} onClick={send}>
        Send <kbd>{bindings().send}</kbd>
      </button>
    </>
  );
}

function Written({ settings: { kind }, content, give, paused }: KindProps) {
  const writing = useRef<HTMLTextAreaElement>(null);
  const [option] = content.options;
  const before = option?.kind === 'text' ? option.text : '';
  const send = () => {
    const text = writing.current!.value.trim();
    if (text === '') writing.current!.focus();
    else give(kind === 'correction' ? { kind: 'correction', text } : { kind: 'demonstration', text });
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
        {kind === 'correction' ? 'The answer as it should be' : 'Your answer'} <kbd>{bindings().write}</kbd>
        <textarea
          ref={writing}
          rows={8}
          defaultValue={before}
          onKeyDown={(event) => {
            leave(event);
            if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) send();
          }}
        />
      </label>
      <button type="button" class="send" onClick={send}>
        Send <kbd>ctrl enter</kbd>
      </button>
    </>
  );
}
