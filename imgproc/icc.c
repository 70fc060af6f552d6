#include "icc.h"

#include <lcms2.h>
#include <math.h>

/* Chromatically adapted to D50, as profiles have them; they differ between makers in the fourth digit. */
static const double srgb_colorants[3][3] = { { 0.4361, 0.2225, 0.0139 }, { 0.3851, 0.7169, 0.0971 }, { 0.1431, 0.0606, 0.7142 } };
static const double colorant_tolerance = 0.003, curve_tolerance = 0.004;

static double srgb_curve(double x)
{
    return x <= 0.04045 ? x / 12.92 : pow((x + 0.055) / 1.055, 2.4);
}

static cmsHPROFILE open_profile(GBytes *icc)
{
    gsize size;
    const void *data = g_bytes_get_data(icc, &size);
    return size <= G_MAXUINT32 ? cmsOpenProfileFromMem(data, (cmsUInt32Number)size) : NULL;
}

static bool is_plain_rgb(cmsHPROFILE profile)
{
    return cmsGetColorSpace(profile) == cmsSigRgbData && cmsIsMatrixShaper(profile) && !cmsIsTag(profile, cmsSigAToB0Tag);
}

static bool has_colorant(cmsHPROFILE profile, cmsTagSignature tag, const double xyz[3])
{
    const cmsCIEXYZ *found = cmsReadTag(profile, tag);
    return found != NULL && fabs(found->X - xyz[0]) < colorant_tolerance && fabs(found->Y - xyz[1]) < colorant_tolerance &&
           fabs(found->Z - xyz[2]) < colorant_tolerance;
}

static bool has_curve(cmsHPROFILE profile, cmsTagSignature tag)
{
    const cmsToneCurve *curve = cmsReadTag(profile, tag);
    if (curve == NULL)
        return false;
    for (double x = 0.1; x < 1; x += 0.1)
        if (fabs(cmsEvalToneCurveFloat(curve, (cmsFloat32Number)x) - srgb_curve(x)) > curve_tolerance)
            return false;
    return true;
}

static bool is_srgb(cmsHPROFILE profile)
{
    static const cmsTagSignature colorants[] = { cmsSigRedColorantTag, cmsSigGreenColorantTag, cmsSigBlueColorantTag };
    static const cmsTagSignature curves[] = { cmsSigRedTRCTag, cmsSigGreenTRCTag, cmsSigBlueTRCTag };
    for (unsigned i = 0; i < G_N_ELEMENTS(colorants); i++)
        if (!has_colorant(profile, colorants[i], srgb_colorants[i]) || !has_curve(profile, curves[i]))
            return false;
    return true;
}

bool icc_is_plain_rgb(GBytes *icc)
{
    cmsHPROFILE profile = open_profile(icc);
    const bool is = profile != NULL && is_plain_rgb(profile);
    if (profile != NULL)
        cmsCloseProfile(profile);
    return is;
}

bool icc_is_srgb(GBytes *icc)
{
    cmsHPROFILE profile = open_profile(icc);
    const bool is = profile != NULL && is_plain_rgb(profile) && is_srgb(profile);
    if (profile != NULL)
        cmsCloseProfile(profile);
    return is;
}

/* ------------------------------------------------------------------ of PNG */

enum { PNG_UNIT = 100000, PNG_GAMMA_SRGB = 45455, PNG_GAMMA_NEAR = 500, PNG_GAMMA_LEAST = 10000, PNG_GAMMA_MOST = 500000 };

static cmsCIExyY place_of(const uint32_t xy[2])
{
    return (cmsCIExyY){ (double)xy[0] / PNG_UNIT, (double)xy[1] / PNG_UNIT, 1 };
}

static bool is_place(const uint32_t xy[2])
{
    return xy[0] <= PNG_UNIT && xy[1] > 0 && xy[1] <= PNG_UNIT;
}

static cmsHPROFILE profile_of(const IccPng *png, cmsToneCurve *curve)
{
    static const IccPng srgb = { .white = { 31270, 32900 }, .rgb = { { 64000, 33000 }, { 30000, 60000 }, { 15000, 6000 } } };
    const IccPng *of = png->white[1] != 0 ? png : &srgb;
    if (!is_place(of->white) || !is_place(of->rgb[0]) || !is_place(of->rgb[1]) || !is_place(of->rgb[2]))
        return NULL;
    const cmsCIExyY white = place_of(of->white);
    const cmsCIExyYTRIPLE primaries = { place_of(of->rgb[0]), place_of(of->rgb[1]), place_of(of->rgb[2]) };
    cmsToneCurve *curves[3] = { curve, curve, curve };
    return cmsCreateRGBProfile(&white, &primaries, curves);
}

static GBytes *bytes_of(cmsHPROFILE profile)
{
    cmsUInt32Number size = 0;
    if (!cmsSaveProfileToMem(profile, NULL, &size))
        return NULL;
    g_autofree void *data = g_malloc(size);
    return cmsSaveProfileToMem(profile, data, &size) ? g_bytes_new_take(g_steal_pointer(&data), size) : NULL;
}

GBytes *icc_of_png(const IccPng *png)
{
    if (png->gamma < PNG_GAMMA_LEAST || png->gamma > PNG_GAMMA_MOST)
        return NULL;
    /* 1/2.2 is what writers say who mean sRGB: its own curve is meant, too */
    const bool like_srgb = ABS((int)png->gamma - PNG_GAMMA_SRGB) < PNG_GAMMA_NEAR;
    const double by_parts[] = { 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045 };
    cmsToneCurve *curve = like_srgb ? cmsBuildParametricToneCurve(NULL, 4, by_parts) : cmsBuildGamma(NULL, (double)PNG_UNIT / png->gamma);
    cmsHPROFILE profile = curve != NULL ? profile_of(png, curve) : NULL;
    GBytes *icc = profile != NULL ? bytes_of(profile) : NULL;
    if (profile != NULL)
        cmsCloseProfile(profile);
    if (curve != NULL)
        cmsFreeToneCurve(curve);
    if (icc != NULL && icc_is_srgb(icc))
        g_clear_pointer(&icc, g_bytes_unref);
    return icc;
}
