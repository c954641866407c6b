/**
 * Where the parts of a figure in the plane are, from its joints' angles: of this very moment, which MuJoCo's own `xpos`
 * is not.
 */

/**
 * Heights of the ends of a chain of rods that hangs from a point at `height`, m. Rod i reaches along[i] forward and
 * up[i] up where it is not turned; turns[i] is what the joint at its beginning adds to the pitch of it and all after
 * it, radians about +y: what was forward goes down.
 */
export function heightsOf(
  height: number,
  along: readonly number[],
  up: readonly number[],
  turns: readonly number[],
): number[] {
  let pitch = 0;
  let z = height;
  return turns.map((turn, i) => {
    pitch += turn;
    z += up[i] * Math.cos(pitch) - along[i] * Math.sin(pitch);
    return z;
  });
}
