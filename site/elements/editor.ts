/** CodeMirror for TypeScript in the page's colors. Tab leaves the editor; Ctrl-Enter or ⌘-Enter runs. */
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { javascript } from '@codemirror/lang-javascript';
import { bracketMatching, HighlightStyle, indentOnInput, indentUnit, syntaxHighlighting } from '@codemirror/language';
import { EditorState, StateEffect, StateField } from '@codemirror/state';
import { Decoration, type DecorationSet, drawSelection, EditorView, keymap, lineNumbers } from '@codemirror/view';
import { tags } from '@lezer/highlight';

/** What an editor is made with. */
export interface EditorOptions {
  text: string;
  /** What a screen reader calls it. */
  label: string;
  readOnly?: boolean;
  onChange?(text: string): void;
  /** Ctrl-Enter. */
  onRun?(): void;
}

const highlight = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword, tags.modifier], color: 'var(--heed-code-keyword)' },
  { tag: [tags.string, tags.number, tags.bool, tags.null, tags.regexp], color: 'var(--heed-code-literal)' },
  { tag: [tags.comment], color: 'var(--heed-code-comment)', fontStyle: 'italic' },
  { tag: [tags.typeName, tags.className], color: 'var(--heed-code-type)' },
  { tag: [tags.function(tags.variableName), tags.function(tags.propertyName)], color: 'var(--heed-code-function)' },
]);

const theme = EditorView.theme({
  '&': { backgroundColor: 'var(--heed-code-ground)', color: 'var(--ink)', fontSize: '0.875rem' },
  '&.cm-focused': { outline: '3px solid var(--accent)', outlineOffset: '2px' },
  '.cm-scroller': { fontFamily: 'ui-monospace, monospace', lineHeight: '1.6' },
  '.cm-content': { padding: '0.75rem 0', caretColor: 'var(--ink)' },
  '.cm-cursor': { borderLeftColor: 'var(--ink)' },
  '.cm-gutters': { backgroundColor: 'transparent', color: 'var(--muted)', border: 'none' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': {
    backgroundColor: 'var(--heed-code-selection)',
  },
  '.cm-fault': { backgroundColor: 'var(--heed-code-fault)' },
});

/** Marks a line, from 1, as the one that a message is about; undefined marks none. */
const markLine = StateEffect.define<number | undefined>();
const markedLine = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marks, { effects, changes, state }) {
    let next = marks.map(changes);
    for (const effect of effects) {
      if (!effect.is(markLine)) continue;
      const line = effect.value;
      const known = line !== undefined && line <= state.doc.lines;
      next = known ? Decoration.set(fault.range(state.doc.line(line).from)) : Decoration.none;
    }
    return next;
  },
  provide: (field) => EditorView.decorations.from(field),
});
const fault = Decoration.line({ class: 'cm-fault' });

/** An editor inside of `parent`. */
export function createEditor(parent: HTMLElement, { text, label, readOnly, onChange, onRun }: EditorOptions) {
  const run = () => {
    onRun?.();
    return onRun !== undefined;
  };
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(),
        history(),
        drawSelection(),
        indentOnInput(),
        bracketMatching(),
        indentUnit.of('  '),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ 'aria-label': label, spellcheck: 'false' }),
        javascript({ typescript: true }),
        syntaxHighlighting(highlight),
        theme,
        markedLine,
        keymap.of([{ key: 'Mod-Enter', run, preventDefault: true }, ...defaultKeymap, ...historyKeymap]),
        EditorState.readOnly.of(readOnly === true),
        EditorView.updateListener.of(({ docChanged, state }) => docChanged && onChange?.(state.doc.toString())),
      ],
    }),
  });
  return {
    /** The text as it stands. */
    text: () => view.state.doc.toString(),
    /** Replaces the text; undo brings it back. */
    replace: (next: string) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: next } }),
    /** Marks a line, from 1, as faulty; undefined marks none. */
    mark: (line: number | undefined) => view.dispatch({ effects: markLine.of(line) }),
    /** Puts the cursor at the start of a line, from 1. */
    goTo(line: number) {
      const { from } = view.state.doc.line(Math.min(line, view.state.doc.lines));
      view.dispatch({ selection: { anchor: from }, scrollIntoView: true });
      view.focus();
    },
    destroy: () => view.destroy(),
  };
}
