// The desk's keys and its viewer. Everything here presses links and buttons that work without it, or moves the picture.
'use strict';
(() => {
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const one = (selector, from = document) => from.querySelector(selector);
  const numbers = (text) => text.split(' ').map(Number);

  // The photo: which picture, which part of it, how it is turned. The server computes the same for its links.
  const photo = one('#photo');
  const viewer = photo && (() => {
    const group = one('g', photo), image = one('image', photo), MARGIN = 1.6;
    let view = photo.dataset.view, turn = 0, region = null, field = null;
    const start = new URLSearchParams(location.search);
    turn = (Math.floor((Number(start.get('turn')) || 0) / 90) % 4) * 90;
    field = start.get('field');
    // Until the officer wants to see something, the pictures show nothing but colours.
    let open = document.body.classList.contains('reveal');
    const picture = () => {
      const [href, width, height] = photo.dataset[view].split(' ');
      return { href: open ? href : href + '?veiled=1', width: Number(width), height: Number(height) };
    };
    const placeOf = (key) => {
      const item = key && document.getElementById('field-' + key);
      const place = item && item.dataset[view];
      if (!place) return null;
      const [x, y, width, height] = numbers(place), by = height * MARGIN;
      return [x - by, y - by, width + 2 * by, height + 2 * by];
    };
    const draw = () => {
      const { href, width, height } = picture();
      const [x, y, w, h] = region || [0, 0, width, height];
      const cx = x + w / 2, cy = y + h / 2, swap = turn % 180 !== 0;
      const [vw, vh] = swap ? [h, w] : [w, h];
      if (image.getAttribute('href') !== href) image.setAttribute('href', href);
      image.setAttribute('width', width);
      image.setAttribute('height', height);
      photo.setAttribute('viewBox', `${cx - vw / 2} ${cy - vh / 2} ${vw} ${vh}`);
      group.setAttribute('transform', `rotate(${turn} ${cx} ${cy})`);
      photo.dataset.view = view;
      for (const tool of all('[data-tool=original], [data-tool=straightened]')) {
        if (tool.dataset.tool === view) tool.setAttribute('aria-current', 'true');
        else tool.removeAttribute('aria-current');
      }
    };
    const unveil = () => {
      if (open) return;
      open = true;
      for (const crop of all('image[data-clear]')) crop.setAttribute('href', crop.dataset.clear);
      draw();
    };
    for (const looked of all('.photo, .field')) {
      for (const kind of ['pointerenter', 'focusin']) looked.addEventListener(kind, unveil);
      if (looked.contains(document.activeElement)) unveil();
    }
    const show = (next) => {
      if (!photo.dataset[next]) return;
      view = next;
      region = placeOf(field);
      draw();
    };
    const zoom = (key) => {
      field = key === field ? null : key;
      region = placeOf(field);
      draw();
    };
    const tools = {
      original: () => show('original'),
      straightened: () => show('straightened'),
      left: () => { turn = (turn + 270) % 360; draw(); },
      right: () => { turn = (turn + 90) % 360; draw(); },
      whole: () => { field = null; region = null; draw(); },
      contrast: (tool) => {
        const on = photo.classList.toggle('contrast');
        if (on) tool.setAttribute('aria-current', 'true'); else tool.removeAttribute('aria-current');
      },
      reveal: (tool) => {
        unveil();
        const on = document.body.classList.toggle('reveal');
        one('span', tool).textContent = on ? tool.dataset.on : tool.dataset.off;
      },
      toggle: () => show(view === 'original' ? 'straightened' : 'original'),
    };
    for (const tool of all('[data-tool]')) {
      tool.addEventListener('click', (event) => { event.preventDefault(); tools[tool.dataset.tool](tool); });
    }
    for (const link of all('[data-zoom]')) {
      link.addEventListener('click', (event) => {
        event.preventDefault();
        zoom(link.closest('[data-field]').dataset.field);
      });
    }
    const box = () => numbers(photo.getAttribute('viewBox'));
    photo.addEventListener('wheel', (event) => {
      event.preventDefault();
      const [x, y, w, h] = box(), by = event.deltaY < 0 ? 0.8 : 1.25;
      photo.setAttribute('viewBox', `${x + w * (1 - by) / 2} ${y + h * (1 - by) / 2} ${w * by} ${h * by}`);
    }, { passive: false });
    photo.addEventListener('pointerdown', (down) => {
      const [x, y, w, h] = box();
      const scale = Math.max(w / photo.clientWidth, h / photo.clientHeight);
      const move = (event) => {
        const dx = (event.clientX - down.clientX) * scale, dy = (event.clientY - down.clientY) * scale;
        photo.setAttribute('viewBox', `${x - dx} ${y - dy} ${w} ${h}`);
      };
      const up = () => { photo.removeEventListener('pointermove', move); };
      photo.setPointerCapture(down.pointerId);
      photo.addEventListener('pointermove', move);
      photo.addEventListener('pointerup', up, { once: true });
      photo.addEventListener('pointercancel', up, { once: true });
    });
    const press = (name) => { const tool = one(`[data-tool=${name}]`); if (tool) tool.click(); };
    return { zoom, press, toggle: tools.toggle };
  })();

  // Queue rows, or the fields of a review.
  const stops = () => viewer ? all('[data-field]') : all('[data-open]');
  const step = (by) => {
    const list = stops();
    if (!list.length) return;
    const here = list.findIndex((stop) => stop.contains(document.activeElement));
    const next = list[here < 0 ? (by > 0 ? 0 : list.length - 1) : Math.min(Math.max(here + by, 0), list.length - 1)];
    next.focus();
    next.scrollIntoView({ block: 'nearest' });
  };
  const current = () => document.activeElement.closest('[data-field]') || one('[data-field]');
  const click = (selector) => { const button = one(selector); if (button) button.click(); return Boolean(button); };

  const open = (key) => {
    const decision = one(`.decision[data-key=${key}]`);
    if (!decision) return;
    for (const other of all('.decision[open]')) if (other !== decision) other.open = false;
    decision.open = !decision.open;
    if (decision.open) (one('[data-usual]', decision) || one('button', decision)).focus();
  };

  const keys = {
    j: () => step(1),
    k: () => step(-1),
    enter: () => { if (!viewer && document.activeElement === document.body) click('[data-open]'); else return false; },
    a: () => open('A'),
    r: () => open('R'),
    t: () => open('T'),
    n: () => click('[data-key=next]'),
    u: () => click('[data-key=undo]'),
    z: () => { const field = current(); if (viewer && field) viewer.zoom(field.dataset.field); },
    e: () => { const field = current(); if (field) { const input = one('input.pii', field); input.focus(); input.select(); } },
    '[': () => viewer && viewer.press('left'),
    ']': () => viewer && viewer.press('right'),
    c: () => viewer && viewer.press('contrast'),
    b: () => viewer && viewer.press('reveal'),
    o: () => viewer && viewer.toggle(),
    '?': () => one('#help').showModal(),
  };
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || one('dialog[open]')) return;
    const target = event.target;
    if (target.matches('input:not([type=hidden]), textarea, select')) {
      if (event.key === 'Escape') (target.closest('[data-field]') || one('#main')).focus();
      return;
    }
    const digit = /^[1-9]$/.test(event.key) && all('.decision[open] .reasons button')[Number(event.key) - 1];
    const act = digit ? () => digit.click() : keys[event.key.toLowerCase()];
    if (act && act() !== false) event.preventDefault();
  });

  // A second click while the first is on its way would only be told that the first has won.
  document.addEventListener('submit', (event) => {
    const form = event.target;
    if (form.method === 'dialog' || event.defaultPrevented) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = '1';
  });
  window.addEventListener('pageshow', () => { for (const form of all('form')) delete form.dataset.sent; });

  const undo = one('.undo');
  if (undo) {
    const end = performance.now() + Number(undo.dataset.seconds) * 1000;
    const timer = setInterval(() => {
      const left = Math.ceil((end - performance.now()) / 1000);
      one('.left', undo).textContent = Math.max(left, 0);
      if (left <= 0) { clearInterval(timer); undo.remove(); }
    }, 250);
  }

  // Of closed lists one letter may be enough: the rest is added behind the caret, to be typed over or removed.
  document.addEventListener('input', (event) => {
    const input = event.target, words = input.dataset.words;
    if (!words || event.inputType !== 'insertText' || input.selectionEnd !== input.value.length) return;
    const typed = input.value.toUpperCase(), word = words.split('|').find((entry) => entry.startsWith(typed));
    if (!word) return;
    input.value = word;
    input.setSelectionRange(typed.length, word.length);
  });

  // Live: the server says what happens. Where it cannot, the page asks now and then.
  const live = one('[data-live]');
  const tell = (selector, text) => {
    const box = one(selector);
    if (!box) return;
    one('span', box).textContent = text;
    box.hidden = !text;
  };
  if (live) {
    let source = null, seen = performance.now();
    const listening = () => source && source.readyState === EventSource.OPEN;
    const refresh = () => { const queue = one('#queue'); if (queue) htmx.trigger(queue, 'refresh'); };
    const lock = ({ mine, version, text }) => {
      // What this page has just sent changes the review, too; the answer is on its way.
      if (one('form[data-sent]')) return;
      const same = version === Number(live.dataset.version);
      tell('#lock', mine ? (same ? '' : live.dataset.changed) : text);
    };
    const connect = () => {
      if (document.hidden || (source && source.readyState !== EventSource.CLOSED)) return;
      source = new EventSource(live.dataset.live);
      source.addEventListener('queue', refresh);
      source.addEventListener('lock', (event) => lock(JSON.parse(event.data)));
      source.addEventListener('ending', (event) => tell('#ending', JSON.parse(event.data)));
      source.addEventListener('ended', () => location.reload());
    };
    connect();
    // Browsers keep few connections to one server: pages that nobody sees let theirs go.
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) { if (source) source.close(); source = null; } else { connect(); refresh(); }
    });
    setInterval(() => {
      if (document.hidden) return;
      connect();
      if (!listening()) refresh();
    }, 15000);
    document.addEventListener('htmx:beforeSwap', (event) => {
      if (event.detail.xhr.responseURL.endsWith('/console/login')) { event.detail.shouldSwap = false; location.reload(); }
    });
    document.addEventListener('htmx:responseError', ({ detail: { xhr } }) => {
      if (xhr.status === 409) tell('#lock', xhr.responseText);
    });
    // Whoever works on a page without loading another is not idle.
    const alive = () => {
      const now = performance.now(), token = one('input[name=csrf]');
      if (now - seen < 30000 && one('#ending').hidden) return;
      seen = now;
      fetch('/console/alive', { method: 'POST', body: new URLSearchParams({ csrf: token.value }) }).catch(() => {});
    };
    for (const kind of ['keydown', 'pointerdown']) document.addEventListener(kind, alive, { capture: true, passive: true });
  }

  // After saving a field the page comes back to it, or goes on to the next that needs a look.
  const saved = location.hash.startsWith('#field-') && one(location.hash);
  const there = saved && (one('.field.failed, .field.weak') || saved);
  if (there) {
    scrollTo(0, 0);
    there.focus({ preventScroll: true });
    there.scrollIntoView({ block: 'nearest' });
  }
})();
