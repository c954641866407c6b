/** Clips side by side, looping in step, with speed, scrubbing and single frames. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { useWords } from '../words/words.ts';
import type { Option } from './api.ts';

/** An option that is a clip. */
export type ClipView = Extract<Option, { kind: 'clip' }>;
type Frame = ClipView['frames'][number];

/** Seconds that the last frame stays before the loop starts again. */
const PAUSE = 0.5;
const SPEEDS = [0.25, 0.5, 1, 2, 4];

/** Plays clips side by side, with a player below them. */
export function ClipPlayer({ clips }: { clips: readonly ClipView[] }) {
  const words = useWords();
  const clipNames = [words.leftClip, words.rightClip];
  const canvases = useRef<(HTMLCanvasElement | null)[]>([]);
  const length = Math.max(...clips.map(({ frames }) => frames.length));
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
  const [playing, setPlaying] = useState(!still);
  const [speed, setSpeed] = useState(1);
  const [at, setAt] = useState(0);
  const position = useRef(0);

  const show = (frame: number) => {
    position.current = frame;
    for (const [i, { frames }] of clips.entries()) {
      const canvas = canvases.current[i];
      if (canvas) drawFrame(canvas, frames[Math.min(Math.floor(frame), frames.length - 1)]);
    }
    setAt(Math.min(Math.floor(frame), length - 1));
  };
  useEffect(() => show(position.current), [clips]);
  useEffect(() => {
    if (!playing) return undefined;
    let last = performance.now();
    let request = requestAnimationFrame(function tick(time) {
      // the time of a frame may lie before the call that requested it
      const moved = (Math.max(0, time - last) / 1000) * clips[0].framesPerSecond * speed;
      last = time;
      const end = length + PAUSE * clips[0].framesPerSecond * speed;
      show((position.current + moved) % end);
      request = requestAnimationFrame(tick);
    });
    return () => cancelAnimationFrame(request);
  }, [playing, speed, clips]);

  const step = (by: number) => {
    setPlaying(false);
    show((Math.floor(Math.min(position.current, length - 1)) + by + length) % length);
  };
  return (
    <div class="clips">
      <div class="options">
        {clips.map((clip, i) => (
          <section class="option" aria-label={clipNames[i]}>
            <canvas
              ref={(canvas) => {
                canvases.current[i] = canvas;
              }}
              width={640}
              height={Math.round((640 * clip.frames[0].height) / clip.frames[0].width)}
              role="img"
              aria-label={words.framesOf(clipNames[i], clip.frames.length)}
            />
          </section>
        ))}
      </div>
      <fieldset class="player" aria-label={words.player}>
        <button type="button" onClick={() => setPlaying(!playing)}>
          {playing ? words.pause : words.play}
        </button>
        <button type="button" onClick={() => step(-1)} aria-label={words.frameBack}>
          ‹
        </button>
        <input
          type="range"
          min={0}
          max={length - 1}
          value={at}
          aria-label={words.frame}
          onInput={(event) => {
            setPlaying(false);
            show(Number(event.currentTarget.value));
          }}
        />
        <button type="button" onClick={() => step(1)} aria-label={words.frameForward}>
          ›
        </button>
        <label>
          {words.speed}{' '}
          <select value={speed} onChange={(event) => setSpeed(Number(event.currentTarget.value))}>
            {SPEEDS.map((one) => (
              <option value={one}>{one}×</option>
            ))}
          </select>
        </label>
      </fieldset>
    </div>
  );
}

interface Shape {
  kind: string;
  points?: number[];
  x?: number;
  y?: number;
  radius?: number;
  width?: number;
  height?: number;
  fill?: string;
  stroke?: string;
  href?: string;
}

/** The pictures of shapes of kind image. */
const pictures = new WeakMap<object, HTMLImageElement>();
/** The latest frame of each canvas. */
const latest = new WeakMap<HTMLCanvasElement, Frame>();

function pictureOf(shape: Shape): HTMLImageElement {
  const picture = pictures.get(shape) ?? Object.assign(new Image(), { src: shape.href });
  pictures.set(shape, picture);
  return picture;
}

/** Draws a frame, once its pictures are loaded. */
export function drawFrame(canvas: HTMLCanvasElement, frame: Frame): void {
  const { width } = frame;
  const shapes = frame.shapes as Shape[];
  latest.set(canvas, frame);
  const waiting = shapes.find((shape) => shape.kind === 'image' && !pictureOf(shape).complete);
  if (waiting) {
    // until then the previous frame stays
    const again = () => latest.get(canvas) === frame && drawFrame(canvas, frame);
    pictureOf(waiting).addEventListener('load', again, { once: true });
    return;
  }
  const context = canvas.getContext('2d')!;
  const scale = canvas.width / width;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.setTransform(scale, 0, 0, scale, 0, 0);
  for (const shape of shapes) {
    const { kind, points = [], x = 0, y = 0, radius = 0, ...style } = shape;
    if (kind === 'image') {
      context.imageSmoothingEnabled = false;
      context.drawImage(pictureOf(shape), x, y, style.width ?? 0, style.height ?? 0);
      continue;
    }
    context.beginPath();
    if (kind === 'circle') context.arc(x, y, radius, 0, 2 * Math.PI);
    else for (let i = 0; i < points.length; i += 2) context.lineTo(points[i], points[i + 1]);
    if (kind === 'line') {
      context.strokeStyle = style.stroke ?? '#000';
      context.lineWidth = style.width ?? 1;
      context.stroke();
    } else {
      if (kind === 'polygon') context.closePath();
      context.fillStyle = style.fill ?? '#000';
      context.fill();
    }
  }
}
