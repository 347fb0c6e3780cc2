// Your own script: see https://gethomepage.dev/configs/custom-css-js/
