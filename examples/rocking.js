/**
 * A judge of clips of one's own: what is wanted of a pole on a cart, told by somebody who looks at two seconds of it.
 *
 * heed train --env CartPole-swing --judge ./examples/rocking.js
 */

/** Like a child's swing: to and fro as fast as can be, and never above the horizontal. The clip with the greater number is the better one. */
export default function rocking({ steps }) {
  let score = 0;
  for (const { next } of steps) {
    const [, , , cosine, angularVelocity] = next; // the cosine is 1 where the pole is upright, −1 where it hangs
    score += cosine < 0 ? Math.min(Math.abs(angularVelocity), 8) : -10;
  }
  return score;
}
