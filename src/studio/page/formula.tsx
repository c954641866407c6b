/** A formula in TeX, drawn by KaTeX once that is loaded; until then, and where KaTeX cannot read it, as it was written. */
import { useEffect, useRef } from 'preact/hooks';

/** Longer ones are shown as they were written. */
const MOST_CHARACTERS = 2000;

let loading: Promise<typeof import('katex')['default']> | undefined;
const loadKatex = () => {
  loading ??= Promise.all([import('katex'), import('katex/dist/katex.min.css')]).then(([{ default: katex }]) => katex);
  return loading;
};

export function Formula({ source, block = false }: { source: string; block?: boolean }) {
  const place = useRef<HTMLElement>(null);
  useEffect(() => {
    const element = place.current!;
    element.textContent = source;
    if (source.length > MOST_CHARACTERS) return undefined;
    let current = true;
    loadKatex().then(
      (katex) => {
        if (!current) return;
        // nothing in it is trusted: no links, no pictures, no macros that grow without end
        const options = { displayMode: block, trust: false, maxExpand: 100, maxSize: 20, strict: 'ignore' as const };
        try {
          katex.render(source, element, options);
        } catch {
          element.textContent = source;
        }
      },
      () => {}, // without a network the formula stays as it was written
    );
    return () => {
      current = false;
    };
  }, [source, block]);
  return block ? (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
    <div class="formula block" dir="ltr" tabIndex={0} ref={place as { current: HTMLDivElement | null }} />
  ) : (
    <span class="formula" dir="ltr" ref={place} />
  );
}
