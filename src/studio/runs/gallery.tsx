/** Comparisons in the order of the run, a dozen at a time: each is the last frame of the preferred clip. */
import { useEffect, useRef } from 'preact/hooks';
import { type ClipView, drawFrame } from '../page/clips.tsx';
import { type ComparisonRow, isComparison, useSamples } from './use-samples.ts';

const TOGETHER = 12;

interface Props {
  run: string;
  kind: string;
  step: number | undefined;
  /** Index of the selected sample among those of the kind and step. */
  selected: number;
  onSelect(index: number): void;
}

/** Shows comparisons to choose from. */
export function Gallery({ run, kind, step, selected, onSelect }: Props) {
  const offset = Math.floor(selected / TOGETHER) * TOGETHER;
  const { page } = useSamples(run, { kind, step, offset, limit: TOGETHER }, 0);
  return (
    <ul class="gallery" aria-label="Clips by step">
      {page?.samples.map((sample, i) =>
        isComparison(sample) ? (
          <li key={offset + i}>
            <button type="button" aria-current={offset + i === selected} onClick={() => onSelect(offset + i)}>
              <Still frame={preferred(sample).at(-1)!} />
              step {sample.step}
            </button>
          </li>
        ) : null,
      )}
    </ul>
  );
}

const preferred = ({ first, second, choice }: ComparisonRow): ClipView['frames'] =>
  choice !== 'incomparable' && choice[1] > choice[0] ? second : first;

function Still({ frame }: { frame: ClipView['frames'][number] }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => drawFrame(canvas.current!, frame), [frame]);
  return <canvas ref={canvas} width={240} height={Math.round((240 * frame.height) / frame.width)} />;
}
