/** The report's style sheet, in heed's colors. Its hash is in the page's Content-Security-Policy, so no other style applies. */
export const style = `
:root {
  color-scheme: light dark;
  --paper: #faf9f5; --raised: #fff; --ink: #1d1c1a; --quiet: #6a665e; --rule: #e3dfd5; --axis: #b9b4a8; --accent: #0d5a68;
  --s0: #3156c9; --s1: #b25a06; --s2: #2b8a7e; --s3: #b4372d; --s4: #7a5aa6; --s5: #7d7a72; --good: #2c7a4b; --canvas: #f3f1ea;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15161a; --raised: #1d1f24; --ink: #eceae4; --quiet: #a09d95; --rule: #32353c; --axis: #55565c; --accent: #62bccb;
    --s0: #93adff; --s1: #f2a65e; --s2: #5fc9b9; --s3: #f08a80; --s4: #b99fe4; --s5: #a9a69e; --good: #6fca93; --canvas: #e9e6dd;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  -webkit-text-size-adjust: 100%; text-size-adjust: 100%; overflow-wrap: break-word;
}
main, header, footer { max-width: 1160px; margin: 0 auto; padding: 0 clamp(18px, 4vw, 48px); }
h1, h2, .value { font-family: Charter, "Bitstream Charter", "Iowan Old Style", "Palatino Linotype", Georgia, "Times New Roman", serif; font-weight: 600; }
header { padding-top: clamp(32px, 6vw, 68px); }
.mark { display: flex; align-items: center; gap: 9px; color: var(--quiet); font-size: 13px; letter-spacing: .02em; margin: 0 0 18px; }
.mark svg { width: 26px; height: 16px; }
h1 { font-size: clamp(30px, 5vw, 50px); line-height: 1.1; letter-spacing: -.018em; margin: 0; text-wrap: balance; }
.subtitle { color: var(--quiet); font-size: clamp(16px, 2vw, 19px); max-width: 46em; margin: 14px 0 0; }
.summary { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 22px 26px; margin: clamp(28px, 4vw, 44px) 0 0; padding: 24px 0 26px; border-top: 1px solid var(--ink); border-bottom: 1px solid var(--rule); }
.summary dt { color: var(--quiet); font-size: 13.5px; }
.summary dd { margin: 0; }
.value { font-size: clamp(26px, 3vw, 30px); line-height: 1.25; white-space: nowrap; letter-spacing: -.015em; font-variant-numeric: lining-nums tabular-nums; }
.note { color: var(--quiet); font-size: 13px; line-height: 1.4; }
main { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: clamp(36px, 4.5vw, 56px) clamp(28px, 4vw, 52px); padding-top: clamp(32px, 4vw, 48px); padding-bottom: 40px; }
main > * { min-width: 0; margin: 0; }
.wide { grid-column: 1 / -1; }
h2 { font-size: 21px; line-height: 1.25; letter-spacing: -.008em; margin: 0 0 6px; text-wrap: balance; }
p { margin: 0 0 .8em; max-width: 44em; }
figcaption, .caption { color: var(--quiet); font-size: 14px; line-height: 1.5; margin: 8px 0 0; max-width: 52em; }
.bar { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 18px; min-height: 30px; margin-bottom: 8px; font-size: 13.5px; color: var(--quiet); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 0; padding: 0; list-style: none; }
.legend svg { width: 18px; height: 8px; margin-right: 7px; vertical-align: 1px; }
.lines > input { position: absolute; opacity: 0; pointer-events: none; }
.choices { display: inline-flex; flex-wrap: wrap; gap: 2px; margin-left: auto; }
.choices label { padding: 2px 10px; border-radius: 99px; cursor: pointer; }
.choices label:hover { color: var(--ink); }
.plots { position: relative; container-type: inline-size; }
.plot { display: none; width: 100%; height: auto; overflow: visible; touch-action: pan-y; }
.plot:focus { outline: none; }
.plot:focus-visible { outline: 2px solid var(--s0); outline-offset: 4px; border-radius: 4px; }
.plot text { font-size: 12px; fill: var(--quiet); font-variant-numeric: tabular-nums; }
.plot .name { font-size: 12.5px; }
.plot .level-name { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; }
.rule { stroke: var(--rule); fill: none; } .axis { stroke: var(--axis); fill: none; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.dashed { stroke-dasharray: 5 4; stroke-linecap: butt; }
.band { opacity: .15; stroke: none; }
.level, .fit { fill: none; stroke: var(--ink); stroke-dasharray: 2 4; stroke-linecap: round; opacity: .55; }
.fit { stroke-width: 1.5; opacity: .8; }
.lead { font-size: clamp(17px, 2.2vw, 20px); line-height: 1.5; max-width: 42em; margin: 18px 0 0; }
.lead + .subtitle { font-size: 14px; }
.box { fill: var(--raised); stroke: var(--axis); } .box.main { stroke: var(--accent); stroke-width: 1.8; }
.arrow { fill: none; stroke: var(--quiet); stroke-width: 1.4; } .head { fill: var(--quiet); }
.card { fill: none; stroke-width: 1.6; } .card.s0 { stroke: var(--s0); } .card.s1 { stroke: var(--s1); } .card.s0.chosen { fill: var(--s0); }
.plot .lane { font-size: 13px; } .plot .box-label { font-size: 15px; font-weight: 600; fill: var(--ink); }
.plot .step { fill: var(--accent); font-weight: 550; paint-order: stroke; stroke: var(--paper); stroke-width: 6px; stroke-linejoin: round; } .middle { text-anchor: middle; }
.points { fill: var(--s0); fill-opacity: .42; }
.points .hollow { fill: none; stroke: var(--s0); stroke-width: 1.5; }
.cursor { stroke: var(--axis); }
.tip { position: absolute; top: 0; left: 0; z-index: 1; pointer-events: none; background: var(--raised); border: 1px solid var(--rule); border-radius: 8px; box-shadow: 0 4px 18px rgb(0 0 0 / .1); padding: 7px 11px; font-size: 13px; line-height: 1.5; white-space: nowrap; font-variant-numeric: tabular-nums; }
.tip[hidden] { display: none; }
.tip b { font-weight: 600; margin-left: 12px; float: right; }
.tip .at { color: var(--quiet); }
.line.s0 { stroke: var(--s0); } .dot.s0, .band.s0 { fill: var(--s0); }
.line.s1 { stroke: var(--s1); } .dot.s1, .band.s1 { fill: var(--s1); }
.line.s2 { stroke: var(--s2); } .dot.s2, .band.s2 { fill: var(--s2); }
.line.s3 { stroke: var(--s3); } .dot.s3, .band.s3 { fill: var(--s3); }
.line.s4 { stroke: var(--s4); } .dot.s4, .band.s4 { fill: var(--s4); }
.line.s5 { stroke: var(--s5); } .dot.s5, .band.s5 { fill: var(--s5); }
.comparisons { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr)); gap: 30px clamp(28px, 4vw, 52px); margin-top: 18px; }
.comparisons.large { grid-template-columns: 1fr; }
.comparison { margin: 0; min-width: 0; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 10px; }
.clip { border-radius: 10px; overflow: hidden; background: var(--canvas); border: 1px solid var(--rule); }
.clip-name { margin: 0 0 4px; color: var(--quiet); font-size: 13.5px; }
.clip.preferred { border-color: var(--good); box-shadow: 0 0 0 2px var(--good); }
.clip canvas { display: block; width: 100%; height: auto; }
.player { display: flex; align-items: center; gap: 10px; margin-top: 9px; font-size: 13.5px; }
.player button { flex: none; width: 32px; height: 32px; border-radius: 50%; border: 1px solid var(--rule); background: var(--raised); color: inherit; cursor: pointer; padding: 0; display: grid; place-items: center; }
.player button:hover { border-color: var(--axis); }
.player button:focus-visible, .player input:focus-visible { outline: 2px solid var(--s0); outline-offset: 2px; }
.player button svg { width: 13px; height: 13px; fill: currentColor; }
.to-pause, .playing .to-play { display: none; } .playing .to-pause { display: inline; }
.player input { flex: 1; min-width: 40px; height: 18px; margin: 0; accent-color: var(--quiet); }
.choice { flex: none; color: var(--quiet); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14.5px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 8px 18px 8px 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { font-weight: 500; color: var(--quiet); font-size: 13.5px; border-bottom-color: var(--axis); }
.number { text-align: right; }
:is(th, td):last-child { padding-right: 0; }
td a { color: inherit; text-decoration-color: var(--axis); text-underline-offset: 3px; } td a:hover { text-decoration-color: currentColor; }
details { grid-column: 1 / -1; border-top: 1px solid var(--rule); padding-top: 16px; }
summary { cursor: pointer; color: var(--quiet); }
details table { margin-top: 12px; font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: 13px; }
details td { padding-top: 4px; padding-bottom: 4px; } details td:first-child { color: var(--quiet); white-space: nowrap; }
footer { color: var(--quiet); font-size: 13px; padding-top: 8px; padding-bottom: 48px; }
@media (max-width: 760px) { main { grid-template-columns: minmax(0, 1fr); } .choices { margin-left: 0; } }
@media print { body { background: none; } .player, .choices { display: none; } .plots, figure, tr { break-inside: avoid; } }
`;
