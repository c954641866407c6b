import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { api } from './api.ts';
import { Failure } from './failure.tsx';

interface Loaded<T> {
  value: T | undefined;
  failed: Error | undefined;
  /** Asks again. */
  again(): void;
}

/** What a path of the studio gives. */
export function useLoaded<T>(path: string): Loaded<T> {
  const [value, setValue] = useState<T>();
  const [failed, setFailed] = useState<Error>();
  const [times, setTimes] = useState(0);
  useEffect(() => {
    let over = false;
    const unless =
      <V,>(set: (value: V) => void) =>
      (value: V) =>
        over || set(value);
    api<T>(path).then(unless(setValue), unless(setFailed));
    return () => {
      over = true;
    };
  }, [path, times]);
  return { value, failed, again: () => setTimes((n) => n + 1) };
}

/** Its value once it is there. */
export function Once<T>({
  of: { value, failed, again },
  children,
}: {
  of: Loaded<T>;
  children(value: T): JSX.Element;
}) {
  if (failed) return <Failure error={failed} retry={again} />;
  return value === undefined ? <p class="quiet">Loading…</p> : children(value);
}

/** Something to do: its failure, or what came of it, is told beside the form. */
export function useDone(): { run(work: () => Promise<string | undefined>): void; told: ComponentChildren } {
  const [done, setDone] = useState<string>();
  const [failed, setFailed] = useState<Error>();
  const run = (work: () => Promise<string | undefined>) => {
    setDone(undefined);
    setFailed(undefined);
    work().then(setDone, setFailed);
  };
  const told = failed ? <Failure error={failed} /> : <p role="status">{done}</p>;
  return { run, told };
}
