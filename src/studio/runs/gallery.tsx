/** Clips that were compared, a dozen at a time, as the training went on: each by the last frame of the preferred one. */
import { useEffect, useRef } from 'preact/hooks';
import { type Clip, drawFrame } from '../page/clips.tsx';
import { type ComparedSample, isCompared, useSamples } from './sampled.ts';

const TOGETHER = 12;

interface Props {
  of: string;
  kind: string;
  step: number | undefined;
  /** Place among those of the kind and step. */
  chosen: number;
  choose(place: number): void;
}

export function Gallery({ of, kind, step, chosen, choose }: Props) {
  const offset = Math.floor(chosen / TOGETHER) * TOGETHER;
  const { found } = useSamples(of, { kind, step, offset, limit: TOGETHER }, 0);
  return (
    <ul class="gallery" aria-label="Clips by step">
      {found?.samples.map((sample, i) =>
        isCompared(sample) ? (
          <li key={offset + i}>
            <button type="button" aria-current={offset + i === chosen} onClick={() => choose(offset + i)}>
              <Still frame={preferred(sample).at(-1)!} />
              step {sample.step}
            </button>
          </li>
        ) : null,
      )}
    </ul>
  );
}

const preferred = ({ first, second, choice }: ComparedSample): Clip['frames'] =>
  choice !== 'incomparable' && choice[1] > choice[0] ? second : first;

function Still({ frame }: { frame: Clip['frames'][number] }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => drawFrame(canvas.current!, frame), [frame]);
  return <canvas ref={canvas} width={240} height={Math.round((240 * frame.height) / frame.width)} />;
}
