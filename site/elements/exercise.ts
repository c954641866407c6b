/** What `<heed-exercise>` shows: the editor, its buttons, results, hints and the solution. */
import type { CheckResult } from '../../src/course/run-checks.ts';
import { type RunningChecks, startChecks } from './check.ts';
import { createEditor } from './editor.ts';
import './exercise.css';
import { code, keepCode, keepPassed, passed } from './kept.ts';
import type { Lesson } from './lessons.ts';
import { lacks } from './support.ts';

/** An element with attributes and children. */
function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Record<string, string> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const button = (text: string, onClick: () => void, attributes: Record<string, string> = {}) => {
  const made = element('button', { type: 'button', ...attributes }, text);
  made.addEventListener('click', onClick);
  return made;
};

/** Text whose `code` between backticks is shown as code. */
const withCode = (text: string): (Node | string)[] =>
  text.split('`').map((part, i) => (i % 2 === 1 ? element('code', {}, part) : part));

/** The hints of a hints.md, each a list of paragraphs. */
const hintsOf = (text: string): string[][] =>
  text
    .split(/^## \d+\s*$/m)
    .slice(1)
    .map((hint) => hint.trim().split(/\n\s*\n/));

/** Fills the element with the exercise of a lesson; the function that it gives ends what runs. */
export async function showExercise(root: HTMLElement, lesson: Lesson): Promise<() => void> {
  const [start, hintText] = await Promise.all([lesson.read('exercise.ts'), lesson.read('hints.md')]);
  if (start === undefined) throw new Error(`${lesson.name} has no exercise.ts.`);
  const lack = lacks();
  if (lack) {
    root.append(element('p', { class: 'failed' }, lack), element('pre', {}, element('code', {}, start)));
    return () => {};
  }
  const hints = hintsOf(hintText ?? '');
  let shownHints = 0;
  let running: RunningChecks | undefined;
  let solution: { destroy(): void } | undefined;
  const shownParts: { destroy(): void }[] = [];

  const place = element('div', { class: 'editor' });
  const state = element('p', { class: 'state', role: 'status' });
  const results = element('ol', { class: 'results', 'aria-label': 'Results' });
  const hintList = element('ol', { class: 'hints', 'aria-label': 'Hints' });
  const solutionPlace = element('div', { class: 'solution' });
  const editor = createEditor(place, {
    text: code(lesson.name) ?? start,
    label: 'Your code, in TypeScript',
    onChange(text) {
      keepCode(lesson.name, text === start ? undefined : text);
      editor.mark(undefined);
    },
    onRun: () => void check(),
  });

  const checkButton = button('Check', () => (running ? cancel() : void check()), { class: 'primary' });
  const hintButton = button('', showHint);
  const labelHint = () => {
    hintButton.textContent = `Hint ${Math.min(shownHints + 1, hints.length)} of ${hints.length}`;
    hintButton.disabled = shownHints >= hints.length;
  };
  labelHint();
  const solutionButton = button('Solution', askForSolution, { 'aria-expanded': 'false' });
  const resetButton = button('Reset', () => {
    editor.replace(start);
    results.replaceChildren();
    state.textContent = 'The code is as it was at the start. Undo in the editor brings yours back.';
  });

  root.append(
    place,
    ...lesson.parts.map(partOf),
    element('div', { class: 'buttons' }, checkButton, hintButton, solutionButton, resetButton),
    state,
    results,
    hintList,
    solutionPlace,
  );
  if (passed(lesson.name)) state.textContent = 'You have solved this one.';

  function idle(): void {
    running = undefined;
    checkButton.textContent = 'Check';
  }

  function cancel(): void {
    running?.stop();
    idle();
    state.textContent = 'Stopped.';
  }

  async function check(): Promise<void> {
    if (running) return;
    const mine = startChecks(lesson, editor.text());
    running = mine;
    checkButton.textContent = 'Stop';
    state.textContent = 'Checking …';
    results.replaceChildren();
    editor.mark(undefined);
    try {
      show(await mine.results);
    } catch (error) {
      if (running === mine) state.textContent = `The checks did not run: ${(error as Error).message}`;
    }
    if (running === mine) idle();
  }

  function show(list: CheckResult[]): void {
    results.replaceChildren(...list.map(resultOf));
    const failed = list.find(({ ok }) => !ok);
    if (failed) {
      editor.mark(failed.line);
      state.textContent = `${failed.line ? `Line ${failed.line}: ` : ''}${failed.message}`;
    } else {
      keepPassed(lesson.name);
      state.textContent = 'All checks pass.';
    }
    state.classList.toggle('failed', failed !== undefined);
    state.classList.toggle('passed', failed === undefined);
  }

  function resultOf({ name, ok, line }: CheckResult): HTMLElement {
    const item = element('li', { class: ok ? 'passed' : 'failed' }, `${ok ? '✓' : '✗'} ${name}`);
    if (line)
      item.append(
        ' ',
        button(`go to line ${line}`, () => editor.goTo(line), { class: 'plain' }),
      );
    return item;
  }

  /** A file that the exercise imports, to open and read. */
  function partOf(name: string): HTMLElement {
    const inside = element('div', { class: 'editor' });
    const details = element('details', {}, element('summary', {}, element('code', {}, name), ', to read'), inside);
    const open = async () => {
      const text = (await lesson.read(name)) ?? '';
      shownParts.push(createEditor(inside, { text, label: name, readOnly: true }));
    };
    details.addEventListener('toggle', () => void open(), { once: true });
    return details;
  }

  function showHint(): void {
    const hint = hints[shownHints++];
    hintList.append(element('li', { tabindex: '-1' }, ...hint.map((text) => element('p', {}, ...withCode(text)))));
    labelHint();
    (hintList.lastElementChild as HTMLElement).focus();
  }

  function askForSolution(): void {
    const open = solutionPlace.childElementCount > 0;
    solution?.destroy();
    solution = undefined;
    solutionPlace.replaceChildren();
    solutionButton.setAttribute('aria-expanded', String(!open));
    if (open) return;
    if (passed(lesson.name)) return void showSolution();
    const sure = button('Show it', () => void showSolution());
    solutionPlace.append(element('p', {}, 'Try to get stuck first: what you work out yourself, you keep. '), sure);
    sure.focus();
  }

  async function showSolution(): Promise<void> {
    const text = await lesson.read('solution.ts');
    const inside = element('div', { class: 'editor' });
    solutionPlace.replaceChildren(element('p', {}, 'One solution; yours may differ.'), inside);
    solution = createEditor(inside, { text: text ?? '', label: 'The solution', readOnly: true });
  }

  return () => {
    running?.stop();
    editor.destroy();
    for (const shown of [solution, ...shownParts]) shown?.destroy();
    root.replaceChildren();
  };
}
