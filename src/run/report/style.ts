/** The report's style sheet, with heed's tokens. Its hash is in the page's Content-Security-Policy: no other style applies. */
import { broughtFile, readFileSync } from '../../node.ts';

/** Fonts, sizes and colors, as the studio has them. Read when a report is made: a page that only imports this has no files. */
const tokens = (): string => readFileSync(broughtFile('../../tokens.css', import.meta.url), 'utf8');

/** The style sheet. */
export const style = (): string => tokens() + rules;

const rules = `
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 var(--text);
  -webkit-text-size-adjust: 100%; text-size-adjust: 100%; overflow-wrap: break-word;
}
main, header, footer { max-width: 1160px; margin: 0 auto; padding: 0 clamp(18px, 4vw, 48px); }
h1, h2, .value { font-family: var(--display); font-weight: 600; }
header { padding-top: clamp(32px, 6vw, 68px); }
.mark { display: flex; align-items: center; gap: 9px; color: var(--muted); font-size: 13px; letter-spacing: .02em; margin: 0 0 18px; }
.mark svg { width: 26px; height: 16px; }
h1 { font-size: clamp(30px, 5vw, 50px); line-height: 1.1; letter-spacing: -.018em; margin: 0; text-wrap: balance; }
.subtitle { color: var(--muted); font-size: clamp(16px, 2vw, 19px); max-width: 46em; margin: 14px 0 0; }
.summary { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 22px 26px; margin: clamp(28px, 4vw, 44px) 0 0; padding: 24px 0 26px; border-top: 1px solid var(--ink); border-bottom: 1px solid var(--line); }
.summary dt { color: var(--muted); font-size: 13.5px; }
.summary dd { margin: 0; }
.value { font-size: clamp(26px, 3vw, 30px); line-height: 1.25; white-space: nowrap; letter-spacing: -.015em; font-variant-numeric: lining-nums tabular-nums; }
.note { color: var(--muted); font-size: 13px; line-height: 1.4; }
main { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: clamp(36px, 4.5vw, 56px) clamp(28px, 4vw, 52px); padding-top: clamp(32px, 4vw, 48px); padding-bottom: 40px; }
main > * { min-width: 0; margin: 0; }
.wide { grid-column: 1 / -1; }
h2 { font-size: 21px; line-height: 1.25; letter-spacing: -.008em; margin: 0 0 6px; text-wrap: balance; }
p { margin: 0 0 .8em; max-width: 44em; }
figcaption, .caption { color: var(--muted); font-size: 14px; line-height: 1.5; margin: 8px 0 0; max-width: 52em; }
.bar { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 18px; min-height: 30px; margin-bottom: 8px; font-size: 13.5px; color: var(--muted); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 0; padding: 0; list-style: none; }
.legend svg { width: 18px; height: 8px; margin-right: 7px; vertical-align: 1px; }
.lines > input { position: absolute; opacity: 0; pointer-events: none; }
.choices { display: inline-flex; flex-wrap: wrap; gap: 2px; margin-left: auto; }
.choices label { padding: 2px 10px; border-radius: 99px; cursor: pointer; }
.choices label:hover { color: var(--ink); }
.plots { position: relative; container-type: inline-size; }
.plot { display: none; width: 100%; height: auto; overflow: visible; touch-action: pan-y; }
.plot:focus { outline: none; }
.plot:focus-visible { outline: 2px solid var(--a); outline-offset: 4px; border-radius: 4px; }
.plot text { font-size: 12px; fill: var(--muted); font-variant-numeric: tabular-nums; }
.plot .name { font-size: 12.5px; }
.plot .level-name { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; }
.rule { stroke: var(--line); fill: none; } .axis { stroke: var(--edge); fill: none; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.dashed { stroke-dasharray: 5 4; stroke-linecap: butt; }
.band { opacity: .15; stroke: none; }
.level, .fit { fill: none; stroke: var(--ink); stroke-dasharray: 2 4; stroke-linecap: round; opacity: .55; }
.fit { stroke-width: 1.5; opacity: .8; }
.lead { font-size: clamp(17px, 2.2vw, 20px); line-height: 1.5; max-width: 42em; margin: 18px 0 0; }
.lead + .subtitle { font-size: 14px; }
.box { fill: var(--card); stroke: var(--edge); } .box.main { stroke: var(--accent); stroke-width: 1.8; }
.arrow { fill: none; stroke: var(--muted); stroke-width: 1.4; } .head { fill: var(--muted); }
.card { fill: none; stroke-width: 1.6; } .card.s0 { stroke: var(--a); } .card.s1 { stroke: var(--b); } .card.s0.chosen { fill: var(--a); }
.plot .lane { font-size: 13px; } .plot .box-label { font-size: 15px; font-weight: 600; fill: var(--ink); }
.plot .step { fill: var(--accent); font-weight: 550; paint-order: stroke; stroke: var(--paper); stroke-width: 6px; stroke-linejoin: round; } .middle { text-anchor: middle; }
.points { fill: var(--a); fill-opacity: .42; }
.points .hollow { fill: none; stroke: var(--a); stroke-width: 1.5; }
.cursor { stroke: var(--edge); }
.tip { position: absolute; top: 0; left: 0; z-index: 1; pointer-events: none; background: var(--card); border: 1px solid var(--line); border-radius: 8px; box-shadow: 0 4px 18px rgb(0 0 0 / .1); padding: 7px 11px; font-size: 13px; line-height: 1.5; white-space: nowrap; font-variant-numeric: tabular-nums; }
.tip[hidden] { display: none; }
.tip b { font-weight: 600; margin-left: 12px; float: right; }
.tip .at { color: var(--muted); }
.line.s0 { stroke: var(--a); } .dot.s0, .band.s0 { fill: var(--a); }
.line.s1 { stroke: var(--b); } .dot.s1, .band.s1 { fill: var(--b); }
.line.s2 { stroke: var(--c); } .dot.s2, .band.s2 { fill: var(--c); }
.line.s3 { stroke: var(--d); } .dot.s3, .band.s3 { fill: var(--d); }
.line.s4 { stroke: var(--e); } .dot.s4, .band.s4 { fill: var(--e); }
.line.s5 { stroke: var(--f); } .dot.s5, .band.s5 { fill: var(--f); }
.comparisons { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr)); gap: 30px clamp(28px, 4vw, 52px); margin-top: 18px; }
.comparisons.large { grid-template-columns: 1fr; }
.comparison { margin: 0; min-width: 0; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 10px; }
.clip { border-radius: 10px; overflow: hidden; background: var(--sunk); border: 1px solid var(--line); }
.clip-name { margin: 0 0 4px; color: var(--muted); font-size: 13.5px; }
.clip.preferred { border-color: var(--good); box-shadow: 0 0 0 2px var(--good); }
.clip canvas { display: block; width: 100%; height: auto; }
.player { display: flex; align-items: center; gap: 10px; margin-top: 9px; font-size: 13.5px; }
.player button { flex: none; width: 32px; height: 32px; border-radius: 50%; border: 1px solid var(--line); background: var(--card); color: inherit; cursor: pointer; padding: 0; display: grid; place-items: center; }
.player button:hover { border-color: var(--edge); }
.player button:focus-visible, .player input:focus-visible { outline: 2px solid var(--a); outline-offset: 2px; }
.player button svg { width: 13px; height: 13px; fill: currentColor; }
.to-pause, .playing .to-play { display: none; } .playing .to-pause { display: inline; }
.player input { flex: 1; min-width: 40px; height: 18px; margin: 0; accent-color: var(--muted); }
.choice { flex: none; color: var(--muted); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14.5px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 8px 18px 8px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 500; color: var(--muted); font-size: 13.5px; border-bottom-color: var(--edge); }
.number { text-align: right; }
:is(th, td):last-child { padding-right: 0; }
td a { color: inherit; text-decoration-color: var(--edge); text-underline-offset: 3px; } td a:hover { text-decoration-color: currentColor; }
details { grid-column: 1 / -1; border-top: 1px solid var(--line); padding-top: 16px; }
summary { cursor: pointer; color: var(--muted); }
details table { margin-top: 12px; font-family: var(--mono); font-size: 13px; }
details td { padding-top: 4px; padding-bottom: 4px; } details td:first-child { color: var(--muted); white-space: nowrap; }
footer { color: var(--muted); font-size: 13px; padding-top: 8px; padding-bottom: 48px; }
@media (max-width: 760px) { main { grid-template-columns: minmax(0, 1fr); } .choices { margin-left: 0; } }
@media print { body { background: none; } .player, .choices { display: none; } .plots, figure, tr { break-inside: avoid; } }
`;
