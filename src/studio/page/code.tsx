/** Code in its own box, which scrolls; its words get their colors once the highlighter is loaded. */
import type { createLowlight } from 'lowlight';
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';

type Lowlight = ReturnType<typeof createLowlight>;
type Highlighted = ReturnType<Lowlight['highlight']>['children'][number];

/** Longer code stays plain: coloring it would take as long as reading it. */
const MOST_CHARACTERS = 20_000;

let loading: Promise<Lowlight> | undefined;
const loadHighlighter = (): Promise<Lowlight> => {
  loading ??= import('lowlight').then(({ common, createLowlight }) => createLowlight(common));
  return loading;
};

export function Code({ source, language = '' }: { source: string; language?: string }) {
  const [colored, setColored] = useState<ComponentChildren>();
  useEffect(() => {
    let current = true;
    setColored(undefined);
    if (language === '' || source.length > MOST_CHARACTERS) return undefined;
    loadHighlighter().then(
      (lowlight) => {
        if (current && lowlight.registered(language)) {
          setColored(lowlight.highlight(language, source).children.map(elementOf));
        }
      },
      () => {}, // without a network the code stays as it is
    );
    return () => {
      current = false;
    };
  }, [source, language]);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
    <pre tabIndex={0} dir="ltr">
      <code>{colored ?? source}</code>
    </pre>
  );
}

function elementOf(node: Highlighted): ComponentChildren {
  if (node.type === 'text') return node.value;
  if (node.type !== 'element') return null;
  const names = node.properties.className;
  return <span class={Array.isArray(names) ? names.join(' ') : undefined}>{node.children.map(elementOf)}</span>;
}
