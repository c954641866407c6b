/** Notes with each test how near its comparisons came: the one that used most of its tolerance, as the test's `meta.nearest`. */
import { beforeEach, chai } from 'vitest';

let meta;
beforeEach(({ task }) => {
  meta = task.meta;
});

function note(error, tolerance) {
  const { nearest } = meta;
  if (!nearest || !(error / tolerance <= nearest.error / nearest.tolerance)) meta.nearest = { error, tolerance };
}

const { flag, overwriteMethod } = chai.util;
const watch = (name, noted) =>
  overwriteMethod(
    chai.Assertion.prototype,
    name,
    (original) =>
      function watched(...given) {
        noted(flag(this, 'object'), ...given);
        return original.apply(this, given);
      },
  );
for (const name of ['toBeLessThan', 'toBeLessThanOrEqual']) watch(name, note);
watch('toBeCloseTo', (got, wanted, digits = 2) => note(Math.abs(got - wanted), 10 ** -digits / 2));
