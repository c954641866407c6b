/** The agent as it plays now, over and over, with the learned reward along the clip. */
import { useEffect, useRef } from 'preact/hooks';
import type { RoomPlay } from '../../feedback/room.ts';
import { type ClipView, drawFrame } from '../page/clips.tsx';

/** Seconds that the last frame stays before the clip starts again. */
const REST = 0.7;
const [WIDTH, HEIGHT] = [320, 28];

/** Plays a clip of the agent. A newer one begins once this one has ended. */
export function AgentNow({ play, done }: { play: RoomPlay; done: boolean }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const cursor = useRef<SVGLineElement>(null);
  const newest = useRef(play);
  newest.current = play;
  const frames = play.frames as ClipView['frames'];
  useEffect(() => {
    const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
    let shown = newest.current;
    let began = performance.now();
    let request = 0;
    const draw = (at: number) => {
      if (!canvas.current) return; // a frame may be due when the clip has just left the page
      const all = shown.frames as ClipView['frames'];
      drawFrame(canvas.current, all[Math.min(at, all.length - 1)]);
      const place = (WIDTH * Math.min(at, all.length - 1)) / Math.max(1, all.length - 1);
      cursor.current?.setAttribute('x1', String(place));
      cursor.current?.setAttribute('x2', String(place));
    };
    const tick = (time: number) => {
      const at = Math.floor((Math.max(0, time - began) / 1000) * shown.framesPerSecond);
      draw(at);
      if (at > shown.frames.length + REST * shown.framesPerSecond) {
        shown = newest.current;
        began = time;
      }
      request = requestAnimationFrame(tick);
    };
    if (still) draw(frames.length - 1);
    else request = requestAnimationFrame(tick);
    return () => cancelAnimationFrame(request);
  }, []);
  const step = play.step.toLocaleString('en-US');
  return (
    <figure class="agent">
      <figcaption>
        {done ? 'The trained agent' : 'The agent now'}
        <span class="quiet">
          {' '}
          (step {step}; {play.caption})
        </span>
      </figcaption>
      <canvas
        ref={canvas}
        width={480}
        height={Math.round((480 * frames[0].height) / frames[0].width)}
        role="img"
        aria-label={`The agent at step ${step}`}
      />
      {play.rewards.length > 1 && (
        <svg
          viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
          preserveAspectRatio="none"
          role="img"
          aria-label="Learned reward along the clip"
        >
          <title>Learned reward along the clip</title>
          <path d={lineOf(play.rewards)} />
          <line ref={cursor} y1="0" y2={HEIGHT} />
        </svg>
      )}
    </figure>
  );
}

function lineOf(rewards: readonly number[]): string {
  const [low, high] = [Math.min(...rewards), Math.max(...rewards)];
  const y = (value: number) => (high === low ? HEIGHT / 2 : HEIGHT - 2 - ((HEIGHT - 4) * (value - low)) / (high - low));
  return rewards
    .map((value, i) => `${i === 0 ? 'M' : 'L'}${(WIDTH * (i + 1)) / rewards.length} ${y(value).toFixed(1)}`)
    .join('');
}
