/**
 * The report's script: values under the pointer, and clips played in step. It builds no HTML from text; without it, the
 * charts still show. Its hash is in the page's Content-Security-Policy, so no other script runs.
 */
export const script = `
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);

const readable = (value) => {
  if (value === null || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size !== 0 && size < 1e-4) return value.toExponential(2).replace('-', '−');
  return Number(value.toPrecision(4)).toLocaleString('en-US', { maximumFractionDigits: 8 }).replace('-', '−');
};
const svgElement = (name, attributes) => {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};

for (const figure of document.querySelectorAll('[data-chart]')) {
  const { xLabels, series } = data.charts[figure.dataset.chart];
  const plots = figure.querySelector('.plots');
  const tip = plots.appendChild(document.createElement('div'));
  tip.className = 'tip';
  tip.hidden = true;
  tip.setAttribute('role', 'status');

  const clear = () => {
    tip.hidden = true;
    for (const old of plots.querySelectorAll('.cursors')) old.remove();
  };
  const show = (plot, wanted) => {
    clear();
    const choice = Number(plot.dataset.choice);
    const [x0, x1, left, right] = plot.dataset.x.split(',').map(Number);
    const [y0, y1, bottom, top] = plot.dataset.y.split(',').map(Number);
    let best = null;
    for (const { x, y } of series) x[choice].forEach((value, i) => {
      if (value === null || y[i] === null) return;
      if (best === null || Math.abs(value - wanted) < Math.abs(best - wanted)) best = value;
    });
    if (best === null) return;
    const toX = (value) => left + ((value - x0) / (x1 - x0)) * (right - left);
    const toY = (value) => bottom + ((value - y0) / (y1 - y0)) * (top - bottom);
    const cursors = plot.appendChild(svgElement('g', { class: 'cursors' }));
    cursors.append(svgElement('path', { class: 'cursor', d: 'M' + toX(best) + ' ' + top + 'V' + bottom }));
    tip.replaceChildren();
    const at = tip.appendChild(document.createElement('div'));
    at.className = 'at';
    at.textContent = readable(best) + ' ' + xLabels[choice];
    series.forEach(({ name, x, y }, s) => {
      let near = -1;
      x[choice].forEach((value, i) => {
        if (value === null || y[i] === null) return;
        if (near < 0 || Math.abs(value - best) < Math.abs(x[choice][near] - best)) near = i;
      });
      if (near < 0 || Math.abs(x[choice][near] - best) > (x1 - x0) / 20) return;
      cursors.append(svgElement('circle', { class: 'dot s' + (s % 6), cx: toX(x[choice][near]), cy: toY(y[near]), r: 4.5 }));
      const row = tip.appendChild(document.createElement('div'));
      row.textContent = name;
      row.appendChild(document.createElement('b')).textContent = readable(y[near]);
    });
    tip.hidden = false;
    const scale = plot.clientWidth / plot.viewBox.baseVal.width;
    const beside = toX(best) * scale + 14;
    const room = plot.clientWidth - tip.offsetWidth;
    tip.style.transform = 'translate(' + Math.max(0, beside > room ? beside - 28 - tip.offsetWidth : beside) + 'px,' + top * scale + 'px)';
    plot.cursorAt = best;
  };
  for (const plot of plots.querySelectorAll('.plot')) {
    const [x0, x1, left, right] = plot.dataset.x.split(',').map(Number);
    const move = (event) => {
      const box = plot.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * plot.viewBox.baseVal.width;
      show(plot, x0 + ((x - left) / (right - left)) * (x1 - x0));
    };
    plot.addEventListener('pointermove', move);
    plot.addEventListener('pointerdown', move);
    plot.addEventListener('pointerleave', clear);
    plot.addEventListener('blur', clear);
    plot.addEventListener('keydown', (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by) return;
      event.preventDefault();
      show(plot, Math.min(x1, Math.max(x0, (plot.cursorAt ?? x0) + (by * (x1 - x0)) / 40)));
    });
  }
}

const pictures = new Map();
const pictureOf = ({ href }) => {
  if (!pictures.has(href)) pictures.set(href, Object.assign(new Image(), { src: href }));
  return pictures.get(href);
};

const draw = (canvas, clip, index) => {
  const shapes = (clip.frames[Math.min(index, clip.frames.length - 1)] ?? []).map((number) => clip.shapes[number]);
  canvas.shown = index;
  const waiting = shapes.find((shape) => shape.kind === 'image' && !pictureOf(shape).complete);
  if (waiting) {
    // until then the frame before stays
    pictureOf(waiting).addEventListener('load', () => canvas.shown === index && draw(canvas, clip, index), { once: true });
    return;
  }
  const scale = window.devicePixelRatio || 1;
  const width = Math.round((canvas.clientWidth || clip.width) * scale);
  const height = Math.round((width * clip.height) / clip.width);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext('2d');
  context.setTransform(width / clip.width, 0, 0, width / clip.width, 0, 0);
  context.clearRect(0, 0, clip.width, clip.height);
  context.lineCap = context.lineJoin = 'round';
  for (const shape of shapes) {
    if (shape.kind === 'image') {
      context.imageSmoothingEnabled = false;
      context.drawImage(pictureOf(shape), shape.x, shape.y, shape.width, shape.height);
      continue;
    }
    context.beginPath();
    if (shape.kind === 'circle') context.arc(shape.x, shape.y, Math.max(0, shape.radius), 0, 2 * Math.PI);
    else for (let i = 0; i + 1 < shape.points.length; i += 2) context.lineTo(shape.points[i], shape.points[i + 1]);
    if (shape.kind === 'line') {
      context.strokeStyle = shape.stroke;
      context.lineWidth = shape.width;
      context.stroke();
    } else {
      context.fillStyle = shape.fill;
      context.fill();
    }
  }
};

const still = window.matchMedia('(prefers-reduced-motion: reduce)').matches;
const players = [];
let last = null; // when the running animation drew last
for (const figure of document.querySelectorAll('[data-comparison]')) {
  const { clips, framesPerSecond } = data.comparisons[figure.dataset.comparison];
  const canvases = [...figure.querySelectorAll('canvas')];
  const button = figure.querySelector('button');
  const slider = figure.querySelector('input');
  const length = Math.max(clips[0].frames.length, clips[1].frames.length, 1);
  const player = { playing: false, visible: false, time: still ? length / 2 / framesPerSecond : 0, frame: -1 };
  player.show = (again) => {
    const frame = Math.min(length - 1, Math.floor(player.time * framesPerSecond));
    if (frame === player.frame && !again) return;
    player.frame = frame;
    slider.value = frame;
    canvases.forEach((canvas, i) => draw(canvas, clips[i], frame));
  };
  player.advance = (seconds) => {
    player.time += seconds;
    if (player.time > length / framesPerSecond + 0.7) player.time = 0; // the end stays for a moment
    player.show();
  };
  const play = (on) => {
    player.playing = on;
    figure.classList.toggle('playing', on);
    button.setAttribute('aria-label', on ? 'Pause' : 'Play');
    wake();
  };
  button.addEventListener('click', () => play(!player.playing));
  slider.addEventListener('input', () => {
    play(false);
    player.time = (Number(slider.value) + 0.5) / framesPerSecond;
    player.show();
  });
  new ResizeObserver(() => player.show(true)).observe(canvases[0]);
  new IntersectionObserver(([entry]) => {
    player.visible = entry.isIntersecting;
    wake();
  }).observe(figure);
  players.push(player);
  player.show();
  if (!still) play(true);
}

function wake() {
  if (last === null && players.some((player) => player.playing && player.visible)) {
    last = performance.now();
    requestAnimationFrame(tick);
  }
}
function tick(now) {
  const seconds = Math.min(0.1, Math.max(0, (now - last) / 1000));
  last = now;
  const active = players.filter((player) => player.playing && player.visible);
  for (const player of active) player.advance(seconds);
  if (active.length) requestAnimationFrame(tick);
  else last = null;
}
`;
